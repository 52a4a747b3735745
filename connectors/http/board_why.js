"use strict";
// Why an alert stands: what moved the model's risk, or which sub-scores NEWS2 rests on. All of it is as of the alert.
const SOURCES = { respiration_rate: ["respiration_rate"], spo2: ["spo2"], oxygen: ["fio2", "o2_flow"], systolic_bp: ["systolic_bp"], pulse: ["heart_rate"], temperature: ["temperature"] };
const NOTABLE = 0.005;             // log-odds that two decimals would show as 0

function percent(risk) { return (risk * 100).toFixed(risk < 0.1 ? 1 : 0) + " %"; }
function chance(logOdds) { return percent(1 / (1 + Math.exp(-logOdds))); }
function signed(logOdds) { return (logOdds < 0 ? "" : "+") + logOdds.toFixed(2); }
function newWhy() {
  const block = make("details", "reasons"), summary = make("summary"), body = make("div");
  block.append(summary, body);
  return { block, summary, body };
}
function showWhy(why, alert) {
  const said = alert ? (alert.explanation ? sayModel(alert.explanation) : saySubScores(alert)) : null;
  why.block.hidden = !said;
  // Another alert's reasons are not opened by having looked at the last one's.
  if (why.about !== (alert && alert.alert_id)) why.block.open = false;
  why.about = alert && alert.alert_id;
  const signature = JSON.stringify(said);
  if (!said || why.signature === signature) return;
  why.signature = signature;
  text(why.summary, "Why, as of " + hour(said.at) + ": " + said.brief);
  why.body.replaceChildren(...said.parts.flatMap(([head, lines]) => {
    if (!lines) return [make("p", "small", head)];
    const list = make("ul");
    list.append(...lines.map((line) => make("li", "", line)));
    return [make("p", "", head), list];
  }));
}
function sayModel(told) {
  // In words above and below zero: whoever cannot see a colour or a sign reads which way it goes.
  const lines = (direction) => told.reasons.filter((one) => one.direction === direction).map((one) => one.text + " (" + signed(one.log_odds) + ")");
  const parts = [["As of " + day(told.as_of) + ", with values and ages as they were then:"]];
  for (const [direction, head] of [["raises", "Raises the risk"], ["lowers", "Lowers the risk"]]) {
    const found = lines(direction);
    if (found.length) parts.push([head, found]);
  }
  if (Math.abs(told.others_log_odds) >= NOTABLE) parts.push([told.others + " others together " + (told.others_log_odds > 0 ? "raise" : "lower") + " it (" + signed(told.others_log_odds) + ")."]);
  parts.push(["From " + chance(told.base) + " where the model starts to " + chance(told.log_odds) + ". In log-odds: +0.7 doubles the odds. It says what moved the number, not what makes the patient ill."]);
  const main = told.reasons.find((one) => one.direction === "raises") || told.reasons[0];
  return { brief: main ? main.text.split(" (mainly: ")[0] + ", " + main.direction + " the risk" : "no single large reason", parts, at: told.as_of };
}
function saySubScores(alert) {
  const news2 = alert.news2 || {};
  const scored = PARAMETERS.filter((name) => news2[name] > 0).sort((a, b) => news2[b] - news2[a]);
  if (alert.trigger !== "news2_floor" || !scored.length) return null;
  const at = Date.parse(alert.received_time);
  const lines = scored.map((name) => {
    const cited = (alert.evidence || []).find((one) => (SOURCES[name] || []).includes(one.feature));
    const value = cited ? ": " + cited.value + " " + (cited.unit in UNITS ? UNITS[cited.unit] : cited.unit) + ", " + age((at - Date.parse(cited.event_time)) / 1000) + " old" : "";
    return named(name) + " " + news2[name] + (news2[name] === 3 ? " (red)" : "") + value;
  });
  const parts = [["NEWS2 " + news2.total + " as of " + day(alert.received_time) + ", of which", lines]];
  const zero = PARAMETERS.filter((name) => news2[name] === 0);
  if (zero.length) parts.push(["Scored 0: " + list(zero) + "."]);
  if ((news2.missing || []).length) parts.push(["Not known: " + list(news2.missing) + "; with them between " + news2.low + " and " + news2.high + "."]);
  return { brief: scored.slice(0, 2).map((name) => named(name) + " " + news2[name]).join(", ") + (scored.length > 2 ? " and more" : ""), parts, at: alert.received_time };
}
