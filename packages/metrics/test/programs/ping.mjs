// Sends PING every two milliseconds over a bare socket until its input ends, then says how long answers took.
import { connect } from 'node:net'

const socket = connect(Number(process.argv[2]), '127.0.0.1').setNoDelay(true)
const times = []
let sentAt = 0
socket.on('data', () => {
  times.push(performance.now() - sentAt)
  setTimeout(send, 2)
})
socket.once('connect', send)
process.stdin.resume().once('end', () => {
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.floor((times.length - 1) * share)]?.toFixed(2)
  console.log(`p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${times.length}`)
  socket.destroy()
  process.exit(0)
})

function send() {
  sentAt = performance.now()
  socket.write('PING\r\n')
}
