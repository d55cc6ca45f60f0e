// The connection to the bridge: envelopes {cmd, data, err}, answers in the order of the commands.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

export class Connection {
  // heard: called with each envelope that is no answer; changed: with "open", "closed" or "token" (one is wanted).
  constructor(heard, changed) {
    this.heard = heard;
    this.changed = changed;
    this.token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
    this.waiting = [];
    this.pause = FIRST_PAUSE_MS;
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
      this.changed("token");
      return;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = this.token ? `?token=${encodeURIComponent(this.token)}` : "";
    this.socket = new WebSocket(`${scheme}://${location.host}/envelope${query}`);
    this.socket.addEventListener("open", () => {
      this.pause = FIRST_PAUSE_MS;
      this.changed("open");
    });
    this.socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => this.closed());
  }

  // Send a command; resolves with its data, rejects with an Error of the bridge's message.
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

  take(envelope) {
    const first = this.waiting[0];
    if (first?.cmd !== envelope.cmd && envelope.cmd !== null) {
      this.heard(envelope);
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
      reject(new Error("the bridge has gone"));
    }
    this.changed("closed");
    setTimeout(() => this.open(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }
}
