/* Two to four entries side by side: paired differences, and the rows where they disagree. The statistics are those of
   suite/statistics.py. No framework, no request but for the entries' own script files, no eval; text goes in as text. */
"use strict";
(() => {
  const board = globalThis.lightboardCompared;
  const place = document.getElementById("compared");
  if (!board || !place || board.entries.length < 2) return;
  const { fixed, digits, make } = globalThis.lightboardParts; // board.js has them
  const MOST = 4, SHOWN = 25;
  const known = new Map(board.entries.map((entry) => [entry.id, entry]));
  const tasks = new Map(board.tasks.map((task) => [task.name, task]));
  const loaded = new Map(), texts = new Map();
  let chosen = [], generation = 0;

  // --- statistics ------------------------------------------------------------------------------------------

  /** Upper tail of the standard normal, by the error function's continued expansion (Numerical Recipes, 6.2). */
  function tail(z) {
    const x = z / Math.SQRT2, t = 1 / (1 + 0.5 * Math.abs(x));
    const c = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277];
    const erfc = t * Math.exp(-x * x + c.reduceRight((sum, value) => value + t * sum, 0));
    return x >= 0 ? erfc / 2 : 1 - erfc / 2;
  }

  function halfWidth(variances) {
    const scale = variances.filter((v) => v > 0).map(Math.sqrt), target = 0.05 * variances.length;
    if (scale.length <= target) return 0;
    let distance = 0;
    for (let i = 0; i < 100; i++) {
      let excess = -target, slope = 0;
      for (const s of scale) {
        excess += 2 * tail(distance / s);
        slope += Math.exp(-((distance / s) ** 2) / 2) / s;
      }
      const step = excess / (slope * Math.sqrt(2 / Math.PI));
      distance += step;
      if (step <= 1e-9 * distance) break;
    }
    return distance;
  }

  /** a less b, the mean over some tasks: value, interval, raw p. */
  function difference(a, b, names) {
    let value = 0, fixed = 2 * board.resolution ** 2;
    const draws = new Float64Array(1000);
    for (const name of names) {
      const one = a.tasks[name], other = b.tasks[name];
      if (!one || !other) return null;
      value += (one.score - other.score) / names.length;
      let squares = 0;
      for (let i = 0; i < one.influence.length; i++) squares += (one.influence[i] - other.influence[i]) ** 2;
      fixed += squares / names.length ** 2;
      for (const side of [one, other]) {
        if (side.seedless) continue;
        const weight = 1 / side.runs / names.length ** 2;
        (side.own || tasks.get(name).seeds).forEach((part, i) => { draws[i] += weight * part; }); // own: runs of it diverged
      }
    }
    const variances = Array.from(draws, (draw) => draw + fixed), half = halfWidth(variances);
    const p = value === 0 ? 1 : variances.reduce((sum, v) => sum + 2 * tail(Math.abs(value) / Math.sqrt(v)), 0) / variances.length;
    return { value, low: value - half, high: value + half, p };
  }

  // --- files -----------------------------------------------------------------------------------------------

  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer), values = new Float64Array(bytes.length / 4);
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
    return values;
  }

  board.entry = (entry) => {
    for (const task of Object.values(entry.tasks)) task.influence = floats(task.influence);
    loaded.set(entry.id, entry);
  };
  board.texts = (found) => texts.set(found.task, found);

  const asked = new Map();
  function ask(path) {
    if (!asked.has(path)) {
      asked.set(path, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = path;
        script.onload = script.onerror = resolve;
        document.head.append(script);
      }));
    }
    return asked.get(path);
  }

  // --- words -----------------------------------------------------------------------------------------------

  const span = (low, high, decimals = 1) => {
    const ends = [fixed(low, decimals), fixed(high, decimals)];
    return ends.join(/\u2212/.test(ends.join("")) ? " to " : "\u2013");
  };
  const pWords = (p) => (p < 0.001 ? "p < 0.001" : `p ${fixed(p, p < 0.1 ? 3 : 2)}`);
  const small = (text) => make("small", {}, text);
  const why = (text) => make("span", { class: "why" }, text);

  function table(ident, caption, heads, rows, note, kind = "number") {
    const head = (text, place) => make("th", { scope: "col", class: place ? kind : "text" }, text);
    const body = rows.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name),
      ...cells.map((cell) => make("td", { class: cell.kind || "number" }, ...[].concat(cell.content || cell)))));
    const drawn = make("table", { id: ident, "aria-labelledby": ident + "-caption" },
      make("caption", { id: ident + "-caption" }, caption),
      make("thead", {}, make("tr", {}, ...heads.map(head))), make("tbody", {}, ...body));
    const region = make("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": ident + "-caption" }, drawn);
    return note ? [region, make("p", { class: "notes" }, note)] : [region];
  }

  // --- the comparison --------------------------------------------------------------------------------------

  const facts = [
    ["Board score", (e) => (e.score === null ? [why(e.why || "none")] : [fixed(e.score, 1), " ", small(e.interval ? span(...e.interval) : "no interval")])],
    [`Speed ${board.timed}, times the reference\u2019s`, (e) => (e.ratio === null ? [why(e.slow)] : [digits(e.ratio), " ", small(`${e.ratio_interval ? span(...e.ratio_interval, 2) : "no interval"}, ${e.runtime}${e.noisy ? ", noisy" : ""}`)])],
    ["Parameters, millions", (e) => [digits(e.parameters / 1e6)]],
    ["FLOPs at 128 tokens, G", (e) => (e.flops === null ? [why("not traced")] : [digits(e.flops / 1e9)])],
    ["Model file, MB", (e) => (e.bytes === null ? [why("none recorded")] : [digits(e.bytes / 1e6)])],
    ["Training, TFLOP", (e) => [digits(e.training)]],
  ];

  function pairs() {
    const found = [];
    chosen.forEach((one, i) => chosen.slice(i + 1).forEach((other) => found.push([one, other])));
    return found;
  }

  function differences() {
    const columns = [["Board score", board.core], ...board.tasks.map((task) => [task.title, [task.name]])]
      .filter(([, names]) => names.length && chosen.some((id) => names.every((name) => loaded.get(id).tasks[name])));
    const rows = pairs().map(([one, other]) => [`${known.get(one).label} less ${known.get(other).label}`,
      ...columns.map(([, names]) => {
        const found = difference(loaded.get(one), loaded.get(other), names);
        if (!found) return { kind: "gap", content: why("not scored on the same rows") };
        const unsure = found.low <= 0 && found.high >= 0;
        return { kind: unsure ? "number faint" : "number", content: [fixed(found.value, 1), " ", small(`${span(found.low, found.high)}, ${pWords(found.p)}`)] };
      })]);
    return table("differences", "Paired differences, points", ["Entries", ...columns.map(([title]) => title)], rows,
      "95% intervals over examples, and over seeds where a task has several; p is raw, uncorrected for the number of comparisons. Grey: cannot be told from no difference.");
  }

  const words = (task, answer) => (task.labels.length ? task.labels[answer] ?? String(answer) : fixed(Number(answer), 2));

  function where(task, row) {
    for (const [split, rows] of task.splits) {
      if (row < rows) return task.splits.length > 1 ? `${split.replaceAll("_", " ")}, row ${row}` : `row ${row}`;
      row -= rows;
    }
    return "";
  }

  /** Rows of a task by how far the answers are apart, the farthest first; classes only differ or not. */
  function apart(task) {
    const said = chosen.map((id) => loaded.get(id).tasks[task.name].said), found = [];
    for (let row = 0; row < said[0].length; row++) {
      const answers = said.map((of) => Number(of[row]));
      const distance = task.labels.length ? Number(new Set(answers).size > 1) : Math.max(...answers) - Math.min(...answers);
      if (distance > 0) found.push([distance, row, answers]);
    }
    return found.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  }

  function disagreements() {
    const parts = [];
    for (const task of board.tasks) {
      if (!chosen.every((id) => loaded.get(id).tasks[task.name])) continue;
      const rows = apart(task), all = loaded.get(chosen[0]).tasks[task.name].said.length, text = texts.get(task.name);
      const seeds = [...new Set(chosen.map((id) => loaded.get(id).tasks[task.name].seeds[0]))];
      const said = task.labels.length
        ? `${rows.length.toLocaleString("en")} of ${all.toLocaleString("en")} rows answered differently`
        : `${all.toLocaleString("en")} rows, those farthest apart first`;
      const lines = rows.slice(0, SHOWN).map(([, row, answers]) => [where(task, row),
        ...answers.map((answer) => ({ kind: "text", content: words(task, answer) })),
        ...(text ? [{ kind: "text", content: words(task, text.gold[row]) }, { kind: "text sentence", content: text.texts[row].join(" / ") }] : [])]);
      const heads = ["Row", ...chosen.map((id) => known.get(id).label), ...(text ? ["Gold", "Text"] : [])];
      const details = make("details", {}, make("summary", {}, `${task.title}: ${said}`));
      if (lines.length) details.append(...table(`rows-${task.name}`, `Where they disagree: ${task.title}`, heads, lines,
        `${rows.length > SHOWN ? `The first ${SHOWN}. ` : ""}Answers of seed ${seeds.join(" and ")}. ${text ? "" : "Their text is shown only in a build of one\u2019s own: lightboard site --data folder:PATH"}`, "text"));
      parts.push(details);
    }
    return parts.length ? [make("h2", {}, "Where they disagree"), ...parts] : [];
  }

  async function show() {
    const mine = ++generation;
    list();
    if (chosen.length < 2) {
      place.replaceChildren(make("p", { class: "why" }, chosen.length ? "Choose one more." : "Choose two entries."));
      return;
    }
    await Promise.all(chosen.map((id) => ask(known.get(id).script)));
    if (board.local) await Promise.all(board.tasks.filter((task) => task.texts).map((task) => ask(task.texts)));
    if (mine !== generation) return;
    if (!chosen.every((id) => loaded.has(id))) {
      place.replaceChildren(make("p", { class: "why" }, "A file beside this page is missing, so this pair cannot be compared."));
      return;
    }
    const heads = ["Figure", ...chosen.map((id) => known.get(id).label)];
    const lines = facts.map(([name, of]) => [name, ...chosen.map((id) => ({ content: of(known.get(id)) }))]);
    place.replaceChildren(...differences(), ...table("beside", "Side by side", heads, lines), ...disagreements());
  }

  // --- choosing --------------------------------------------------------------------------------------------

  const select = document.getElementById("add"), names = document.getElementById("chosen");

  function list() {
    names.replaceChildren(...chosen.map((id) => {
      const out = make("button", { type: "button", class: "plain", "aria-label": `Remove ${known.get(id).label}` }, "remove");
      out.addEventListener("click", () => { choose(chosen.filter((one) => one !== id)); select.focus(); });
      return make("li", {}, make("a", { href: known.get(id).href }, known.get(id).label), " ", out);
    }));
    select.replaceChildren(make("option", { value: "" }, chosen.length < MOST ? "add an entry" : "four are enough"),
      ...board.entries.filter((entry) => !chosen.includes(entry.id)).map((entry) => make("option", { value: entry.id }, entry.label)));
    select.disabled = chosen.length >= MOST;
  }

  const state = () => "#entries=" + chosen.join(",");

  function choose(ids, told = true) {
    chosen = ids;
    if (told) history.replaceState(null, "", state());
    show();
  }

  function read() {
    const given = new URLSearchParams(location.hash.slice(1)).get("entries");
    if (given === null) return null;
    return [...new Set(given.split(","))].filter((id) => known.has(id)).slice(0, MOST);
  }

  select.addEventListener("change", () => { if (known.has(select.value)) choose([...chosen, select.value]); });
  addEventListener("hashchange", () => {
    const ids = read();
    if (ids) { choose(ids, false); place.scrollIntoView(); }
    else if (chosen.length) history.replaceState(null, "", state()); // a link within the page took the address
  });
  document.getElementById("choose").hidden = false;
  choose(read() ?? [], false);
})();
