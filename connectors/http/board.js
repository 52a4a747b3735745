
const REFRESH_MS = 2000;           // a nurse looks for seconds; the answer is some 100 KB
const ANSWER_MS_MAX = 8000;        // an answer that takes longer is given up, and asked for anew
const STALE_AFTER_MS = 10000;      // without an answer for so long, nothing on the page is to be relied on
const HEARTBEAT_MS_MAX = 20000;    // the stream speaks every 15 s
const RETRY_MS = 3000;
const ALERTS_SHOWN_MAX = 12;       // what a person takes in at a glance
const EVENT_CHARS_MAX = 1000000;   // an event longer than this is none
const FEED_QUIET_S = 600;          // a feed silent for so long is pointed out
const BANDS = { high: "HIGH", medium: "MEDIUM", low_medium: "RED SCORE", low: "low" };
const PARAMETERS = ["respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature"];
const NAMES = { respiration_rate: "resp. rate", spo2: "SpO₂", oxygen: "oxygen", systolic_bp: "systolic BP", pulse: "pulse", heart_rate: "pulse", consciousness: "consciousness", temperature: "temperature" };
const SIGNALS_SHOWN_MAX = 12;
const MONITORED = { feed_silent: "MONITORING LOST, feed", ward_silent: "MONITORING LOST, ward", patient_silent: "observations overdue", code_remapped: "code changed upstream", code_silent: "vital sign no longer sent", code_unmapped: "unknown code upstream", unit_changed: "unit changed upstream", scale_changed: "scale changed upstream", flat_line: "value does not move", feed_frozen: "FROZEN feed", monitor_full: "not all is monitored", monitor_failed: "monitoring fails" };
const ANSWERABLE = ["raised", "updated", "escalated"];  // somebody is waited for
const TRIGGERS = ["news2_floor", "model"];              // a patient has one open alert of each at the most; each keeps its place
const FOR_PEOPLE = ["told", "waiting"];                 // what waits for room in a ward's budget is a ward's all the same
const REASONS = {/* reasons */};
const UNITS = { "mm[Hg]": "mmHg", Cel: "°C", "1": "" };

const $ = (id) => document.getElementById(id);
const rows = new Map();
const wards = new Set();
let answered = null;               // performance.now() of the last answer; the browser's clock may be wrong, this is not
let waiting = performance.now();   // since when the first answer is waited for
let heard = performance.now();     // of the last event of the stream
let clockAtAnswer = null;          // the service's clock in that answer
let asOf = null;
let lastNumber = null;
let signedOut = false;
let running = null;

function text(element, value) { if (element.textContent !== value) element.textContent = value; }
function make(tag, className, value) { const e = document.createElement(tag); if (className) e.className = className; if (value !== undefined) e.textContent = value; return e; }
function named(name) { return NAMES[name] || String(name).replace(/_/g, " "); }
function list(names) { return (names || []).map(named).join(", "); }
function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return s + " s";
  if (s < 7200) return Math.floor(s / 60) + " min";
  if (s < 172800) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " d";
}
function hour(iso) { const t = new Date(iso); return isNaN(t) ? "" : t.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }); }
function day(iso) { const t = new Date(iso); return isNaN(t) ? "?" : t.toLocaleString([], { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }); }
function since(iso) { return clockAtAnswer === null ? "" : age((clockAtAnswer - Date.parse(iso) + performance.now() - answered) / 1000); }

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  const token = sessionStorage.getItem("wardstream-token");
  if (token) headers.Authorization = "Bearer " + token;
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (response.status === 401) { signOut(Boolean(token)); throw new Error("signed out"); }
  if (!response.ok) throw new Error("status " + response.status);
  return response;
}
function signOut(refused) {
  sessionStorage.removeItem("wardstream-token");
  const first = !signedOut;
  signedOut = true;
  for (const row of rows.values()) row.tr.remove();
  rows.clear();
  $("alerts").replaceChildren();
  $("sign-in").hidden = false;
  $("content").hidden = true;
  text($("sign-in-problem"), refused ? "This token is not accepted." : "");
  if (first) $("token").focus();
}
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("wardstream-token", $("token").value.trim());
  $("token").value = "";
  signedOut = false;
  answered = null;
  waiting = heard = performance.now();
  $("sign-in").hidden = true;
  $("content").hidden = false;
  refresh();
});

const CELLS = [["place", "Ward, bed"], ["key", "Patient"], ["news2", "NEWS2"], ["why", "Why"], ["unknown", "Not known"], ["risk", "Risk"], ["alert", "Alert"], ["held", "Held back"], ["inputs", "Inputs"]];
function newRow() {
  const tr = make("tr");
  tr.setAttribute("role", "row");
  const cells = {};
  for (const [name, label] of CELLS) {
    const td = make("td", name);
    td.setAttribute("role", "cell");
    td.dataset.label = label;
    cells[name] = td;
    tr.append(td);
  }
  const details = make("details"), summary = make("summary"), values = make("ul");
  details.append(summary, values);
  cells.inputs.append(details);
  const row = { tr, cells, summary, values, said: make("div"), kept: make("div"), told: make("div", "small"), key: "", alerts: [], review: null };
  row.told.setAttribute("role", "status");
  row.open = TRIGGERS.map((_, at) => newAlert(row, at));
  cells.alert.append(...row.open.map((one) => one.block), row.said, row.told);
  cells.held.append(row.kept, newDecision(row));
  return row;
}
function newAlert(row, at) {
  const block = make("div"), said = make("div"), form = make("div", "answer"), why = make("select"), reasons = newWhy();
  const [acknowledge, disagree, dismiss] = ["Acknowledge", "Disagree", "Dismiss"].map((words) => make("button", "", words));
  why.append(new Option("why?", ""), ...Object.entries(REASONS).map(([code, words]) => new Option(words, code)));
  why.setAttribute("aria-label", "Why the alert is dismissed or disagreed with");
  disagree.title = "Seen, and held to be wrong";
  acknowledge.type = disagree.type = dismiss.type = "button";
  dismiss.disabled = true;
  why.addEventListener("change", () => { dismiss.disabled = !why.value; });
  const say = (kind, reason) => act(row, { kind, alert_id: row.alerts[at].alert_id, ...(reason ? { reason } : {}) });
  acknowledge.addEventListener("click", () => say("acknowledge"));
  disagree.addEventListener("click", () => say("disagree", why.value));
  dismiss.addEventListener("click", () => say("dismiss", why.value));
  form.append(acknowledge, disagree, why, dismiss);
  block.append(said, reasons.block, form);
  return { block, said, reasons, form, why, dismiss };
}
function showOpen(one, alert) {
  one.block.hidden = !alert;
  fill(one.said, alert ? sayAlert(alert) : []);
  showWhy(one.reasons, alert);
  one.form.hidden = !(alert && ANSWERABLE.includes(alert.state) && FOR_PEOPLE.includes(alert.disposition || "told"));
  if (one.about === (alert && alert.alert_id)) return;
  one.about = alert && alert.alert_id;  // A reason that was chosen for one alert is none for another.
  one.why.value = "";
  one.dismiss.disabled = true;
}
function newDecision(row) {
  const form = row.decide = make("div", "answer");
  for (const [decision, words] of [["tell", "Tell"], ["withhold", "Withhold"]]) {
    const button = make("button", "", words);
    button.type = "button";
    button.addEventListener("click", () => act(row, { kind: "review", score_id: row.review.score_id, decision }));
    form.append(button);
  }
  return form;
}
function newId() {
  // Not crypto.randomUUID: a browser has that for https and this machine only.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
async function act(row, said) {
  if (row.sending) return;
  // One id for one thing said: pressed again after no answer came, it still counts once.
  const what = JSON.stringify(said);
  if (row.what !== what) { row.what = what; row.id = newId(); row.at = new Date(asOf + performance.now() - answered).toISOString(); }
  row.sending = true;
  text(row.told, "sending");
  const headers = { "Content-Type": "application/json", Authorization: "Bearer " + (sessionStorage.getItem("wardstream-token") || "") };
  const body = JSON.stringify({ act_id: row.id, patient: row.key, at: row.at, ...said });
  try {
    const response = await fetch("/acts", { method: "POST", headers, body, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (response.ok) text(row.told, "taken as said by " + (await response.json()).actor);
    else {
      const issue = (await response.json().catch(() => ({}))).issue;
      text(row.told, "NOT TAKEN: " + (issue ? issue[0].details.text : "status " + response.status));
      if (response.status < 500) row.what = null;
    }
    if (response.status === 401) {
      $("sign-in").hidden = false;
      text($("sign-in-problem"), "To act, give the token of somebody who may act.");
      $("token").focus();
    }
  } catch { text(row.told, "NO ANSWER: press again"); }
  row.sending = false;
  refresh();
}
function fill(td, parts) {
  // Rebuilt only when it changed: a screen reader is not told the same again, and a selection stays.
  const signature = JSON.stringify(parts);
  if (td.dataset.signature === signature) return;
  td.dataset.signature = signature;
  td.classList.toggle("empty", parts.length === 0);
  td.replaceChildren(...parts.flatMap(([className, value]) => [make("span", className, value), " "]));
}
function disposition(alert) {
  return alert.disposition + (alert.disposition === "waiting" && alert.waiting_place ? ", place " + alert.waiting_place : "");
}
function sayAlert(alert) {
  const by = alert.trigger === "news2_floor" ? "NEWS2" : "model";
  const how = alert.disposition && alert.disposition !== "told" ? " (" + disposition(alert) + ")" : "";
  return [
    [alert.priority === "interrupt" && alert.state !== "retracted" ? "grave" : "", by + " " + alert.state + how],
    ["small", named(alert.reason) + ", " + hour(alert.received_time) + ", " + since(alert.received_time) + " ago"],
  ];
}
function sayRetracted(patient) {
  const gone = (patient.retracted || []).filter((one) => !patient.alert || one.alert_id !== patient.alert.alert_id);
  return gone.map((one) => ["small warn", "taken back: " + named(one.reason) + ", " + hour(one.received_time)]);
}
function showHeld(patient) {
  // What keeps anything from the ward must be seen: a clinician's limit first, with whose it is and until when.
  const parts = [];
  for (const one of patient.limits || []) {
    const totals = one.notify_at ? ", tells from " + one.notify_at + ", interrupts from " + one.interrupt_at : "";
    const why = one.reason && one.reason !== one.kind ? " (" + named(one.reason) + ")" : "";
    parts.push(["warn", "LIMIT " + named(one.kind) + why + totals + ", by " + (one.by || "nobody named") + ", until " + day(one.until)]);
  }
  if (patient.review) parts.push(["warn", "waits for review, " + age(patient.review.waits_s) + ": " + named(patient.review.reason)]);
  for (const one of [...patient.remarks || [], ...patient.held_back || []]) parts.push(["small", one.filter + ": " + named(one.verdict) + ", " + named(one.reason) + (one.detail ? ", " + one.detail : "")]);
  return parts;
}
function show(row, patient) {
  const news2 = patient.news2;
  const band = news2 ? news2.band : "none";
  if (row.tr.className !== "band-" + band) row.tr.className = "band-" + band;
  fill(row.cells.place, [["", [patient.ward || "no ward", patient.room, patient.bed].filter(Boolean).join(", ")], ...(patient.facility ? [["small", patient.facility]] : [])]);
  fill(row.cells.key, [["", String(patient.patient).slice(0, 8)]]);
  const unknown = [];
  if (news2) {
    const bounds = news2.low === news2.high ? "" : "between " + news2.low + " and " + news2.high;
    const marks = [bounds, news2.red && band !== "low_medium" ? "a red parameter" : "", news2.scale === 2 ? "SpO₂ scale 2" : ""].filter(Boolean).join(", ");
    fill(row.cells.news2, [["score", String(news2.total)], ["band", BANDS[band] || band], ...(marks ? [["small", marks]] : [])]);
    const scored = PARAMETERS.filter((name) => news2[name] > 0).sort((a, b) => news2[b] - news2[a]).slice(0, 3);
    fill(row.cells.why, scored.map((name, i) => [news2[name] === 3 ? "grave" : "", named(name) + " " + news2[name] + (i < scored.length - 1 ? "," : "")]));
    const stale = news2.stale || [];
    const missing = (news2.missing || []).filter((name) => !stale.includes(name));
    if (missing.length) unknown.push(["warn", "missing: " + list(missing)]);
    if (stale.length) unknown.push(["warn", "stale: " + list(stale)]);
    if ((news2.quarantined || []).length) unknown.push(["warn", "impossible: " + list(news2.quarantined)]);
  } else {
    fill(row.cells.news2, [["small", "no score"]]);
    fill(row.cells.why, []);
  }
  fill(row.cells.unknown, unknown);
  const risk = patient.probability;
  fill(row.cells.risk, risk === null || risk === undefined ? [] : [["", percent(risk)]]);
  const open = [patient.alert, ...(patient.also || [])].filter(Boolean), review = patient.review || null;
  const alerts = TRIGGERS.map((trigger) => open.find((one) => one.trigger === trigger) || null);
  const retracted = sayRetracted(patient), held = showHeld(patient);
  row.open.forEach((one, at) => showOpen(one, alerts[at]));
  fill(row.said, retracted);
  fill(row.kept, held);
  row.cells.alert.classList.toggle("empty", open.length + retracted.length === 0);
  row.cells.held.classList.toggle("empty", held.length === 0);
  const about = JSON.stringify([alerts.map((one) => one && one.alert_id), review && review.score_id]);
  if (row.about !== about) { row.about = about; text(row.told, ""); }
  row.key = patient.patient;
  row.alerts = alerts;
  row.review = review;
  row.decide.hidden = !review;
  const inputs = patient.inputs || [];
  const gone = (performance.now() - answered) / 1000;
  const oldest = inputs.reduce((most, one) => Math.max(most, one.age_s), 0);
  const newest = inputs.reduce((least, one) => Math.min(least, one.age_s), Infinity);
  row.cells.inputs.classList.toggle("empty", inputs.length === 0);
  text(row.summary, inputs.length ? inputs.length + (inputs.length > 1 ? " values, " : " value, ") + (age(newest + gone) === age(oldest + gone) ? "" : age(newest + gone) + " to ") + age(oldest + gone) + " old" : "none");
  row.values.replaceChildren(...inputs.map((one) => make("li", one.stale ? "warn" : "", named(one.feature) + " " + one.value + " " + (one.unit in UNITS ? UNITS[one.unit] : one.unit) + ", " + age(one.age_s + gone) + (one.stale ? " (stale)" : ""))));
}
function showPatients(document_) {
  asOf = Date.parse(document_.as_of);
  clockAtAnswer = Date.parse(document_.clock);
  answered = performance.now();
  const seen = new Set();
  const body = $("rows");
  let at = body.firstElementChild;
  for (const patient of document_.patients) {
    seen.add(patient.patient);
    if (patient.ward) wards.add(patient.ward);
    let row = rows.get(patient.patient);
    if (!row) rows.set(patient.patient, row = newRow());
    show(row, patient);
    if (row.tr === at) at = at.nextElementSibling;
    else body.insertBefore(row.tr, at);
  }
  for (const [key, row] of rows) if (!seen.has(key)) { row.tr.remove(); rows.delete(key); }
  $("nobody").hidden = document_.patients.length > 0;
  text($("count"), "(" + document_.patients.length + ")");
  const behind = document_.behind_records || 0;
  $("behind").hidden = behind === 0;
  text($("behind"), behind ? behind + " stored messages are not in these scores yet." : "");
  showSignals(document_.signals || []);
  showWards();
  tick();
}
function showWards() {
  const select = $("ward");
  if (select.options.length === wards.size + 1) return;
  const chosen = select.value;
  const options = [...wards].sort().map((ward) => new Option(ward, ward, false, ward === chosen));
  select.replaceChildren(new Option("all wards", ""), ...options);
  select.value = chosen;
}
function showFeeds(document_) {
  const made = document_.feeds.map((feed) => {
    const tr = make("tr");
    tr.setAttribute("role", "row");
    const quiet = feed.silent_s === null || feed.silent_s === undefined ? "never" : age(feed.silent_s) + " ago" + (feed.silent_s > FEED_QUIET_S ? ": QUIET" : "");
    const cells = [["Feed", feed.feed], ["Last message", quiet], ["Messages", String(feed.messages)], ["Dead letters", String(feed.dead_letters)], ["Duplicates", String(feed.duplicates)]];
    for (const [label, value] of cells) {
      const td = make("td", "", value);
      td.dataset.label = label;
      td.setAttribute("role", "cell");
      tr.append(td);
    }
    if (quiet.endsWith("QUIET") || quiet === "never") tr.children[1].className = "grave";
    if (feed.dead_letters > 0) tr.children[3].className = "warn";
    return tr;
  });
  $("feeds").replaceChildren(...made);
}
async function refresh() {
  if (running || signedOut) return;
  running = new AbortController();
  const giveUp = setTimeout(() => running.abort(), ANSWER_MS_MAX);
  const ward = $("ward").value;
  try {
    const signal = running.signal;
    const response = await ask("/patients" + (ward ? "?ward=" + encodeURIComponent(ward) : ""), { signal });
    const patients = await response.json();
    if (ward === $("ward").value) showPatients(patients);
    showFeeds(await (await ask("/feeds", { signal })).json());
  } catch { /* said by tick(): the age of the last answer grows */ }
  clearTimeout(giveUp);
  running = null;
  if (ward !== $("ward").value) refresh();
}
function showSignals(signals) {
  const place = $("signals"), shown = signals.slice(0, SIGNALS_SHOWN_MAX);
  const said = shown.map((one) => MONITORED[one.kind] + ": " + [one.ward || one.feed, one.patient.slice(0, 8), one.detail].filter(Boolean).join(", ") + " (since " + hour(one.since) + ")");
  if (signals.length > shown.length) said.push(signals.length - shown.length + " more");
  place.hidden = said.length === 0;
  const signature = JSON.stringify(said);
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.replaceChildren(...said.map((words) => make("li", "", words)));
}
function tick() {
  const now = performance.now();
  const silent = now - (answered === null ? waiting : answered);
  const streamLost = now - heard > HEARTBEAT_MS_MAX;
  const problems = [];
  if (!signedOut && silent > STALE_AFTER_MS) problems.push("no answer from the service for " + age(silent / 1000));
  if (!signedOut && streamLost) problems.push("no sign of life of the alert stream for " + age((now - heard) / 1000));
  const stale = problems.length > 0;
  document.body.classList.toggle("is-stale", stale);
  $("stale").hidden = !stale;
  text($("stale"), stale ? "STALE: " + problems.join("; ") + ". Do not rely on this page." : "");
  const state = $("state");
  state.className = "state " + (stale ? "bad" : answered === null || signedOut ? "waiting" : "good");
  text(state, stale ? "STALE" : signedOut ? "sign in" : answered === null ? "waiting" : "live");
  document.title = (stale ? "STALE: " : "") + "Ward board";
  if (answered !== null && !signedOut) text($("asof-text"), "as of " + new Date(asOf).toLocaleTimeString([], { hourCycle: "h23" }) + ", " + age((clockAtAnswer - asOf + silent) / 1000) + " old");
}
function take(block) {
  let event = "message", number = null;
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("id: ")) number = Number(line.slice(4));
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  heard = performance.now();
  if (number === null) return;
  lastNumber = number;
  const alert = JSON.parse(data.join("\n"));
  const by = alert.trigger === "news2_floor" ? "NEWS2" : "model";
  const score = alert.news2 ? ", NEWS2 " + alert.news2.total : "";
  const where = [alert.ward, alert.bed].filter(Boolean).join(", ");
  const grave = alert.priority === "interrupt" && ["raised", "updated", "escalated"].includes(event);
  const item = make("li", grave ? "grave" : "", hour(alert.received_time) + " " + where + ": " + by + " " + event + " (" + named(alert.reason) + ")" + score + (alert.disposition === "told" ? (alert.waited_ms ? ", waited " + age(alert.waited_ms / 1000) : "") : ", " + disposition(alert)));
  $("no-alerts").hidden = true;
  $("alerts").prepend(item);
  while ($("alerts").children.length > ALERTS_SHOWN_MAX) $("alerts").lastElementChild.remove();
  refresh();
}
async function listen() {
  const lost = new AbortController();
  const watch = setInterval(() => { if (performance.now() - heard > HEARTBEAT_MS_MAX) lost.abort(); }, 1000);
  try {
    if (signedOut) return;
    const headers = lastNumber === null ? {} : { "Last-Event-ID": String(lastNumber) };
    const response = await ask("/alerts/stream", { headers, signal: lost.signal });
    heard = performance.now();
    $("stream").className = "state good";
    text($("stream"), "live");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      held += value;
      let end;
      while ((end = held.indexOf("\n\n")) >= 0) { take(held.slice(0, end)); held = held.slice(end + 2); }
      if (held.length > EVENT_CHARS_MAX) { lost.abort(); break; }
    }
  } catch { /* tried again below */ } finally {
    clearInterval(watch);
    $("stream").className = "state bad";
    text($("stream"), "not connected");
    setTimeout(listen, RETRY_MS);
  }
}
$("ward").addEventListener("change", () => { if (running) running.abort(); refresh(); });
setInterval(refresh, REFRESH_MS);
setInterval(tick, 500);
refresh();
listen();
