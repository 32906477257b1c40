import { readFileSync } from 'node:fs'
import { Pool } from 'pg'
import type { EventRow, EventTable, Role } from './event-table.ts'

/**
 * Some for an API that answers each query within a millisecond or so. One for the writer: with several, a row
 * may be committed when the cursors of the pollers are past it already, and they would never get it.
 */
const connections: Readonly<Record<Role, number>> = { api: 4, writer: 1 }
const TABLE = 'millrace_benchmark_events'

/**
 * A pool of kept connections and prepared statements. The server has to run on this machine, because what its
 * processes use is counted: those of this pool's connections, and the one that started them. What the server
 * has for writing is left out, as publishing is everywhere.
 */
export async function openPostgresTable(url: string, role: Role): Promise<EventTable> {
  const max = connections[role]
  const pool = new Pool({ connectionString: url, max, idleTimeoutMillis: 0 })
  await pool.query(
    `CREATE TABLE IF NOT EXISTS ${TABLE} (id serial PRIMARY KEY, body text NOT NULL)`,
  )
  if (role === 'api') await pool.query(`TRUNCATE ${TABLE} RESTART IDENTITY`)
  const clients = await Promise.all(Array.from({ length: max }, () => pool.connect()))
  const backends = await Promise.all(
    clients.map(async (client) => {
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      return rows.map(({ pid }) => pid)
    }),
  )
  for (const client of clients) client.release()
  const pids = backends.flat()
  const insert = { name: 'insert', text: `INSERT INTO ${TABLE} (body) VALUES ($1)` }
  const select = {
    name: 'select',
    text: `SELECT id, body FROM ${TABLE} WHERE id > $1 ORDER BY id LIMIT $2`,
  }
  return {
    async insert(body) {
      await pool.query({ ...insert, values: [body] })
    },
    async after(cursor, limit) {
      const { rows } = await pool.query<EventRow>({ ...select, values: [cursor, limit] })
      return rows
    },
    pids: [...new Set(pids.map(parentOf)), ...pids],
  }
}

/** @throws where the process is not on this machine */
function parentOf(pid: number): number {
  const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (parent === undefined) throw new Error(`the operating system does not tell who started ${pid}`)
  return Number(parent)
}
