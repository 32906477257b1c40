// Sends PING every two milliseconds over a bare socket. A line of its input names what is going on from then on;
// at the end of the input it says how long answers took in each of these phases.
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const socket = connect(Number(process.argv[2]), '127.0.0.1').setNoDelay(true)
const phases = []
let sentAt = 0
let sentIn
socket.on('data', () => {
  sentIn?.times.push(performance.now() - sentAt)
  setTimeout(send, 2)
})
socket.once('connect', send)

const lines = createInterface({ input: process.stdin })
lines.on('line', (name) => phases.push({ name, times: [] }))
lines.once('close', () => {
  const answer = phases.map(({ name, times }) => {
    times.sort((a, b) => a - b)
    const at = (share) => times[Math.floor((times.length - 1) * share)]
    return { name, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), answers: times.length }
  })
  console.log(JSON.stringify(answer))
  socket.destroy()
})

function send() {
  sentAt = performance.now()
  sentIn = phases.at(-1)
  socket.write('PING\r\n')
}
