// WebSocket connection to the bridge: messages {cmd, data, err}; responses arrive in the order of the commands.

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 5000;

export class Connection {
  // onMessage is called with each message that is not a response; onState with "open", "closed" or "token" (required).
  constructor(onMessage, onState) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
    this.waiting = [];
    this.retryMs = FIRST_RETRY_MS;
  }

  async open() {
    let allowed = true;
    try {
      const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
      allowed = (await fetch("/status", { headers })).status !== 401;
    } catch {
      this.closed();
      return;
    }
    if (!allowed) {
      this.onState("token");
      return;
    }
    // Thirty readings per second are enough to look at; the status counts those that are left out.
    this.socket = this.makeSocket("newest");
    this.socket.addEventListener("open", () => {
      this.retryMs = FIRST_RETRY_MS;
      this.onState("open");
    });
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => this.closed());
  }

  // Return a socket that receives the newest of the readings, or all.
  makeSocket(readings) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = this.token ? `&token=${encodeURIComponent(this.token)}` : "";
    return new WebSocket(`${scheme}://${location.host}/envelope?readings=${readings}${query}`);
  }

  // Connect again, with the current token.
  reopen() {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.close(); // its listener opens the next connection
    } else {
      this.open();
    }
  }

  // Send a command; resolve with the data of its response, or reject with an Error that has the bridge's message.
  ask(cmd, data = null) {
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("the bridge is not connected"));
        return;
      }
      this.waiting.push({ cmd, resolve, reject });
      this.socket.send(JSON.stringify({ cmd, data }));
    });
  }

  receive(envelope) {
    const first = this.waiting[0];
    if (first?.cmd !== envelope.cmd && envelope.cmd !== null) {
      this.onMessage(envelope);
      return;
    }
    this.waiting.shift();
    if (envelope.err) {
      first?.reject(new Error(envelope.err.message));
    } else {
      first.resolve(envelope.data);
    }
  }

  closed() {
    for (const { reject } of this.waiting.splice(0)) {
      reject(new Error("the bridge disconnected"));
    }
    this.onState("closed");
    setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(2 * this.retryMs, MAX_RETRY_MS);
  }
}
