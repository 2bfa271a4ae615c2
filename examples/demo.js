// The handshake's answer sets the cookie; the message that follows tells what the server had put into it.
const connect = document.getElementById("connect");
const received = document.getElementById("received");

document.querySelectorAll(".scriptless").forEach((hint) => (hint.hidden = true));
connect.hidden = false;
connect.addEventListener("click", () => {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws`);
  let asking;
  connect.disabled = true;
  received.textContent = "Connecting…";
  socket.addEventListener("message", ({ data }) => {
    document.getElementById("handshakes").textContent = JSON.parse(data).handshakes;
    received.textContent = "Accepted, and the cookie with it.";
    // With a store the server keeps it open, and looks after the session when it is asked.
    asking = setInterval(() => socket.send("Still there?"), 1000);
  });
  socket.addEventListener("error", () => (received.textContent = "The handshake was refused."));
  socket.addEventListener("close", ({ reason }) => {
    clearInterval(asking);
    connect.disabled = false;
    if (reason) received.textContent = reason;
  });
});

// With a store: the server holds each of the six until all are there, so none has read what another writes.
const send = document.getElementById("send");
const arrived = document.getElementById("arrived");

send.hidden = false;
send.addEventListener("click", async () => {
  const batch = crypto.randomUUID();
  const post = (number) => fetch("/at-once", { method: "POST", body: new URLSearchParams({ batch, number }) });
  send.disabled = true;
  arrived.textContent = "Sending…";
  try {
    await Promise.all([0, 1, 2, 3, 4, 5].map(post));
    const kept = Object.values(await (await fetch("/arrived")).json());
    arrived.textContent = `${kept.filter((one) => one === batch).length} of 6 are in the session.`;
  } catch {
    arrived.textContent = "The server does not answer.";
  }
  send.disabled = false;
});
