// What the server says when it closes the websocket of somebody who is signed in no more.
const SIGNED_OUT = 4401;
const LONGEST_PAUSE = 30; // seconds

const messages = document.getElementById("messages");
const state = document.getElementById("state");
const form = document.getElementById("say");
const text = document.getElementById("text");
let socket;
let pause = 1; // seconds; it doubles with each try that fails

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/chat`);
  socket.addEventListener("open", () => {
    setOpen(true, "Connected");
  });
  socket.addEventListener("message", ({ data }) => {
    pause = 1;
    show(JSON.parse(data));
  });
  socket.addEventListener("close", ({ code, reason }) => {
    if (code === SIGNED_OUT) {
      setOpen(false, "Signed out");
      document.getElementById("why").textContent = reason;
      document.getElementById("ended").hidden = false;
      return;
    }
    setOpen(false, "Not connected. Trying again…");
    setTimeout(connect, pause * 1000);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  });
}

function setOpen(open, said) {
  state.textContent = said;
  state.classList.toggle("on", open);
  for (const field of form.elements) field.disabled = !open;
}

// textContent, and never innerHTML: what others say is text.
function show({ from, text, at }) {
  const item = document.createElement("li");
  item.classList.toggle("own", from === messages.dataset.name);
  const head = document.createElement("p");
  head.className = "quiet";
  const time = document.createElement("time");
  time.dateTime = new Date(at * 1000).toISOString();
  time.textContent = new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  head.append(from, " ", time);
  const body = document.createElement("p");
  body.textContent = text;
  item.append(head, body);
  messages.append(item);
  item.scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(text.value);
  text.value = "";
});

document.getElementById("scriptless").hidden = true;
state.textContent = "Connecting…";
connect();
