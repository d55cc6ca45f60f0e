// Page of the administration: rules of alerts, gateways, gadgets, co-location, users, tokens, own account, audit log.

import { CoLocation } from "./colocation.js";
import { SortedTable } from "./components/tables.js";
import { element, onSchemeChange } from "./components/theme.js";
import { age } from "./format.js";
import { time } from "./zone.js";

const at = id => document.getElementById(id);
const LIST = /\s*,\s*/;
let session = { name: "", role: "", csrf: "" }, state = { gateways: [], gadgets: [], rules: [] }, entries = [];

async function send(method, path, body) {
  const headers = { "x-csrf-token": session.csrf, ...(body === undefined ? {} : { "content-type": "application/json" }) };
  const answer = await fetch(`api/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const content = answer.status === 204 ? {} : await answer.json();
  if (answer.status === 401) location.reload();  // the session has ended, so this is the sign-in page
  if (!answer.ok) throw new Error(content.error || `HTTP ${answer.status}`);
  return content;
}

function tell(text, isBad = false) {
  at("message").textContent = text;
  at("message").classList.toggle("doubt", isBad);
  at("message").scrollIntoView({ block: "nearest" });
}

// Do something, report the result or the refusal, and show the new state.
async function act(work, done) {
  try {
    const found = await work();
    await refresh();
    tell(typeof done === "function" ? done(found) : done);
    return true;
  } catch (error) {
    tell(error.message, true);
    return false;
  }
}

function action(title, key, work) {
  return element("button", { type: "button", class: "link", "data-key": key, "aria-label": key, onclick: work }, title);
}

const coLocation = new CoLocation({ send, act, action });
const sure = text => window.confirm(text);

// Tables

function limitOf({ above, below, of, for_min, clear }) {
  const side = above !== null ? `above ${above}` : `below ${below}`;
  return `${of === "spread" ? "spread " : ""}${side} for ${for_min} min${clear === null ? "" : `, clear at ${clear}`}`;
}

const tables = {
  rules: new SortedTable(at("rules"), [
    { title: "Rule", sort: each => each.name, cell: each => each.name },
    { title: "Values", cell: each => each.rule.values.join(", ") },
    { title: "Limit", cell: each => limitOf(each.rule) },
    { title: "Gadgets", kind: "minor", cell: each => each.rule.gadgets.join(", ") },
    { title: "Quiet hours", kind: "minor", cell: each => each.rule.urgent ? "notified" : "held" },
    { title: element("span", { class: "unseen" }, "Actions"), cell: each => each.is_in_file ? element("span", { class: "note" }, "in the settings file") : [
      action("Edit", `Edit rule ${each.name}`, () => editRule(each)), " ",
      action("Delete", `Delete rule ${each.name}`, () => sure(`Delete rule ${each.name}?`) && act(() => send("DELETE", `admin/rules/${encodeURIComponent(each.name)}/`), `Rule ${each.name} was deleted.`)),
    ] },
  ]),
  gateways: new SortedTable(at("gateways"), [
    { title: "Number", kind: "number", sort: each => each.id, cell: each => String(each.id) },
    { title: "Gateway", sort: each => each.name, cell: each => each.name },
    { title: "Key", sort: each => each.revoked_ms, cell: each => element("span", { class: `state ${each.revoked_ms ? "revoked" : "fine"}` }, each.revoked_ms ? "revoked" : "valid") },
    { title: "Last seen", kind: "minor", sort: each => each.seen_ms && -each.seen_ms, cell: each => each.seen_ms ? element("span", { title: time(each.seen_ms) }, age(Date.now() - each.seen_ms)) : "never" },
    { title: "Gadgets", kind: "minor", sort: each => each.gadgets.length, cell: each => each.gadgets.join(", ") || "–" },
    { title: element("span", { class: "unseen" }, "Actions"), cell: each => each.revoked_ms || session.role !== "administrator" ? "" : action("Revoke key", `Revoke the key of ${each.name}`, () => sure(`Revoke the key of ${each.name}? It can upload again only after a new registration.`) && act(() => send("DELETE", `admin/gateways/${each.id}/key/`), `The key of ${each.name} was revoked.`)) },
  ], { column: 1 }),
  gadgets: new SortedTable(at("gadgets"), [
    { title: "Gadget", sort: each => each.gadget, cell: each => action(each.gadget, `Edit gadget ${each.gadget}`, () => editGadget(each)) },
    { title: "Gateway", sort: each => each.gateway, cell: each => each.gateway || "–" },
    { title: "Status", sort: each => each.status, cell: each => [...at("gadget").elements.status.options].find(option => option.value === each.status)?.text || each.status },
    { title: "Notes", cell: each => each.notes },
  ]),
  users: new SortedTable(at("users"), [
    { title: "User", sort: each => each.name, cell: each => each.name },
    { title: "Role", sort: each => each.role, cell: each => roleOf(each) },
    { title: "Second factor", kind: "minor", cell: each => each.has_second_factor ? action("Remove", `Remove the second factor of ${each.name}`, () => sure(`Remove the second factor of ${each.name}?`) && act(() => send("PATCH", `admin/users/${encodeURIComponent(each.name)}/`, { remove_second_factor: true }), `The second factor of ${each.name} was removed.`)) : "none" },
    { title: element("span", { class: "unseen" }, "Actions"), cell: each => action("Remove", `Remove user ${each.name}`, () => sure(`Remove user ${each.name}?`) && act(() => send("DELETE", `admin/users/${encodeURIComponent(each.name)}/`), `User ${each.name} was removed.`)) },
  ]),
  tokens: new SortedTable(at("tokens"), [
    { title: "Token", sort: each => each.name, cell: each => each.name },
    { title: "Permits", sort: each => each.may_write, cell: each => each.may_write ? "changes" : "reading" },
    { title: "Expires", sort: each => each.expires_ms, cell: each => each.expires_ms ? time(each.expires_ms) : "never" },
    { title: element("span", { class: "unseen" }, "Actions"), cell: each => action("Revoke", `Revoke token ${each.name}`, () => sure(`Revoke token ${each.name}?`) && act(() => send("DELETE", `admin/tokens/${encodeURIComponent(each.name)}/`), `Token ${each.name} was revoked.`)) },
  ]),
  audit: new SortedTable(at("audit"), [
    { title: "Time", first: -1, sort: each => each.id, cell: each => time(each.t_utc_ms) },
    { title: "Who", sort: each => each.who, cell: each => each.who },
    { title: "From", kind: "minor", sort: each => each.origin, cell: each => each.origin },
    { title: "Change", cell: each => each.action },
  ], { direction: -1 }),
};

function roleOf(user) {
  const roles = ["viewer", "operator", "administrator"].map(role => element("option", { selected: role === user.role }, role));
  return element("select", { "aria-label": `Role of ${user.name}`, "data-key": `role ${user.name}`, onchange: event => {
    const role = event.target.value;
    act(() => send("PATCH", `admin/users/${encodeURIComponent(user.name)}/`, { role }), `${user.name} is ${role} now.`).then(isDone => { if (!isDone) event.target.value = user.role; });
  } }, ...roles);
}

// Forms

function editRule({ name, rule }) {
  const form = at("rule").elements;
  Object.assign(form.name, { value: name });
  form.values.value = rule.values.join(", ");
  form.of.value = rule.of;
  form.side.value = rule.above !== null ? "above" : "below";
  form.limit.value = rule.above ?? rule.below;
  form.clear.value = rule.clear ?? "";
  form.for_min.value = rule.for_min;
  form.gadgets.value = rule.gadgets.join(", ");
  form.corrected.checked = rule.corrected;
  form.urgent.checked = rule.urgent;
  form.values.focus();
}

function editGadget({ gadget }) {
  const form = at("gadget").elements;
  form.gadget.value = gadget;
  showGadget();
  form.notes.focus();
}

// Status and notes of the chosen gadget, so that a change of one of them keeps the other.
function showGadget() {
  const form = at("gadget").elements, found = state.gadgets.find(each => each.gadget === form.gadget.value);
  if (found) [form.status.value, form.notes.value] = [found.status, found.notes];
}

function ruleOf(form) {
  const words = name => form[name].value.split(LIST).map(word => word.trim()).filter(Boolean);
  return {
    values: words("values"), gadgets: words("gadgets"), of: form.of.value, [form.side.value]: Number(form.limit.value),
    clear: form.clear.value === "" ? null : Number(form.clear.value), for_min: Number(form.for_min.value),
    corrected: form.corrected.checked, urgent: form.urgent.checked,
  };
}

async function useFactor(form) {
  const has = session.has_second_factor;
  if (!has && !form.secret.value) {
    form.secret.value = (await send("POST", "session/second-factor/")).secret;
    at("factor-secret").hidden = at("factor-code").hidden = false;
    form.code.focus();
    return "Enter the secret into an authenticator, and its code here.";
  }
  const body = { password: form.password.value, secret: has ? "" : form.secret.value, code: has ? "" : form.code.value };
  await send("PUT", "session/second-factor/", body);
  return "The second factor was changed; sign in again.";
}

const forms = {
  rule: form => [() => send("PUT", `admin/rules/${encodeURIComponent(form.name.value)}/`, ruleOf(form)), `Rule ${form.name.value} was saved.`],
  pin: form => [() => send("POST", "admin/pins/", { gateway: form.gateway.value, minutes: Number(form.minutes.value) }), found => `PIN ${found.pin}, valid until ${time(found.expires_ms)}; it is shown only now.`],
  rename: form => [() => send("PATCH", `admin/gateways/${form.gateway.value}/`, { name: form.name.value }), `The gateway is ${form.name.value} now.`],
  gadget: form => [() => send("PATCH", `gadget/${encodeURIComponent(form.gadget.value)}/`, { status: form.status.value, notes: form.notes.value }), `The notes of ${form.gadget.value} were saved.`],
  transfer: form => [() => send("POST", "admin/transfers/", { gadget: form.gadget.value, gateway: form.gateway.value }), `${form.gadget.value} was transferred.`],
  user: form => [() => send("POST", "admin/users/", { name: form.name.value, password: form.password.value, role: form.role.value }), `User ${form.name.value} was added.`],
  token: form => [() => send("POST", "admin/tokens/", { name: form.name.value, days: Number(form.days.value), may_write: form.may_write.checked }), found => `Token ${found.token} is shown only now.`],
  password: form => [() => send("PUT", "session/password/", { password: form.password.value, new_password: form.new_password.value }), "The password was changed; sign in again."],
  factor: form => [() => useFactor(form), found => found],
};
const CLEARED = { user: ["name", "password"], token: ["name"], password: ["password", "new_password"], rule: ["name", "values", "limit", "clear"], rename: ["name"] };

for (const [id, work] of Object.entries(forms)) {
  at(id).addEventListener("submit", async event => {
    event.preventDefault();
    if (await act(...work(event.target.elements))) for (const name of CLEARED[id] || []) event.target.elements[name].value = "";
  });
}

function fill(select, choices) {
  const chosen = select.value, first = select.options[0]?.value === "" ? [select.options[0]] : [];
  select.replaceChildren(...first, ...choices.map(([value, title]) => element("option", { value }, title)));
  if ([...select.options].some(option => option.value === chosen)) select.value = chosen;
}

async function refresh() {
  session = await send("GET", "session/");
  at("who").textContent = session.name ? `${session.name}, ${session.role}` : "signed in with a token";
  at("sign-out").hidden = at("account").hidden = !session.name;
  at("factor-state").textContent = session.has_second_factor ? "A second factor is required." : "No second factor is set up.";
  at("factor").querySelector("button").textContent = session.has_second_factor ? "Remove the second factor" : at("factor-secret").hidden ? "Set up a second factor" : "Confirm the second factor";
  state = await send("GET", "admin/");
  document.querySelectorAll(".administrator").forEach(section => { section.hidden = session.role !== "administrator"; });
  for (const name of ["rules", "gateways", "gadgets", "users", "tokens"]) tables[name].show(state[name] || []);
  coLocation.show(state.values, state.calibrations);
  at("pins").textContent = `${state.valid_pins} valid PIN${state.valid_pins === 1 ? "" : "s"}`;
  const gateways = state.gateways.map(each => [String(each.id), `${each.name} (${each.id})`]);
  for (const id of ["pin", "rename", "transfer"]) fill(at(id).elements.gateway, gateways);
  for (const id of ["gadget", "transfer"]) fill(at(id).elements.gadget, state.gadgets.map(each => [each.gadget, each.gadget]));
  if (!at("gadget").contains(document.activeElement)) showGadget();
  if (session.role === "administrator") {
    entries = (await send("GET", "admin/audit/")).results;
    tables.audit.show(entries);
  }
  document.body.dataset.ready = "yes";
}

onSchemeChange(() => coLocation.redraw());
at("gadget").elements.gadget.addEventListener("change", showGadget);
at("sign-out").addEventListener("click", async () => {
  await send("DELETE", "session/");
  location.assign("./");
});
at("older").addEventListener("click", async () => {
  const before = Math.min(...entries.map(each => each.id));
  const older = entries.length ? (await send("GET", `admin/audit/?before=${before}`)).results : [];
  entries = [...entries, ...older];
  tables.audit.show(entries);
  if (!older.length) tell("There are no older entries.");
});
refresh().catch(error => tell(error.message, true));
