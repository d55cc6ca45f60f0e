// Tables of a packed recording as typed arrays; report/player/packing.py describes the format.

// packed: base64 as in a report, or bytes.
export async function unpack(packed) {
  const stream = new Blob([typeof packed === "string" ? decoded(packed) : packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = content.length - 4, length = new DataView(content.buffer).getUint32(end, true);
  const { columns, about } = JSON.parse(new TextDecoder().decode(content.subarray(end - length, end)));
  const tables = {};
  for (const column of columns) {
    (tables[column.table] ??= {})[column.name] = READERS[column.form](content, column.offset, column);
  }
  return { tables, about };
}

const READERS = {
  number: (content, offset, { rows }) => new Float32Array(gathered(content, offset, rows, 4)),
  time: (content, offset, { rows }) => {
    const times = new Float64Array(gathered(content, offset, rows, 8));
    for (let row = 1; row < rows; row++) times[row] += times[row - 1];
    return times;
  },
  text: (content, offset, { rows, texts }) => {
    const index = new Uint16Array(gathered(content, offset, rows, 2));
    return { index, texts, at: row => row < 0 ? "" : texts[index[row]] };
  },
};

// Bytes of values of which the first bytes come first, then all second bytes and so on.
function gathered(content, offset, rows, size) {
  const bytes = new Uint8Array(rows * size);
  for (let place = 0; place < size; place++) {
    for (let row = 0, at = offset + place * rows; row < rows; row++) bytes[row * size + place] = content[at + row];
  }
  return bytes.buffer;
}

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = binary.charCodeAt(place);
  return bytes;
}
