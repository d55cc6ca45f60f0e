// Start of the player of a report, which contains its recording.

import { read } from "./fragment.js";
import { showCounters } from "./panels.js";
import { Player } from "./player.js";
import { unpack } from "./unpack.js";

async function start() {
  const node = document.getElementById("player"), note = node.querySelector('[data-part="note"]');
  try {
    const recording = await unpack(document.getElementById("player-data").textContent);
    if (!recording.about.span) {
      node.dataset.state = "empty";
      note.textContent = "There is nothing to play: no record has a time. The report below lists the records.";
      return;
    }
    const player = new Player(node, recording, document.getElementById("player-coastline").textContent);
    node.dataset.state = "ready";
    showCounters(node, recording.about.counters);
    globalThis.player = player;
    const notes = [];
    if (recording.about.damaged.length) notes.push(`Damaged input: ${recording.about.damaged.join(", ")}; see Input in the report.`);
    for (const [table, rows, step] of recording.about.thinned) notes.push(`Of ${rows} rows of ${table}, every ${step}th is shown.`);
    note.textContent = notes.join(" ");
    const view = read(location.hash);
    if (view) player.open(view); else player.cursor.moveTo(player.firstKnown());
    node.focus({ preventScroll: true });
    player.draw();
    performance.mark("player-ready");
  } catch (error) {
    node.dataset.state = "failed";
    note.textContent = `The player does not work in this browser: ${error.message}. The report below is complete.`;
    throw error;
  }
}

start();
