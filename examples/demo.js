// The handshake's answer sets the cookie; the message that follows tells what the server had put into it.
const button = document.getElementById("connect");
const received = document.getElementById("received");

document.getElementById("scriptless").hidden = true;
button.hidden = false;
button.addEventListener("click", () => {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws`);
  button.disabled = true;
  received.textContent = "Connecting…";
  socket.addEventListener("message", ({ data }) => {
    document.getElementById("handshakes").textContent = JSON.parse(data).handshakes;
    received.textContent = "Accepted, and the cookie with it.";
  });
  socket.addEventListener("error", () => (received.textContent = "The handshake was refused."));
  socket.addEventListener("close", () => (button.disabled = false));
});
