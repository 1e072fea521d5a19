/* The front page explored: sorting, filtering, the chart, picking. Every page: light or dark.
   The page is complete before this runs and without it. No framework, no request, no eval; text goes in as text. */
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js"); // before anything is painted, so that nothing moves later

  // --- light or dark ---------------------------------------------------------------------------------------

  const THEME = "lightboard-theme";
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem(THEME); } catch { return null; } };
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();

  function themes(changed) {
    const button = document.querySelector(".theme");
    const tell = () => { button.setAttribute("aria-pressed", String(dark())); changed(); };
    button.addEventListener("click", () => {
      const wanted = dark() ? "light" : "dark";
      const own = wanted !== (systemDark.matches ? "dark" : "light"); // back at the system's: follow it again
      if (own) root.dataset.theme = wanted; else delete root.dataset.theme;
      try { if (own) localStorage.setItem(THEME, wanted); else localStorage.removeItem(THEME); } catch { /* private */ }
      tell();
    });
    systemDark.addEventListener("change", tell);
    button.setAttribute("aria-pressed", String(dark()));
  }

  // --- numbers and elements --------------------------------------------------------------------------------

  function fixed(value, decimals) {
    const text = Math.abs(value).toFixed(decimals).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",");
    return value < 0 && /[1-9]/.test(text) ? "\u2212" + text : text;
  }

  /** About so many significant digits, as suite/board/text.py prints them. */
  function digits(value, significant = 3, most = 3) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 10 ** -most) return value > 0 ? "<" + (10 ** -most).toFixed(most) : "0";
    return fixed(value, Math.min(Math.max(significant - 1 - Math.floor(Math.log10(size)), 0), most));
  }

  const plural = (count, one, many = one + "s") => `${count === 0 ? "no" : count.toLocaleString("en")} ${count === 1 ? one : many}`;

  /** What follows once the frame that answers a hand is painted; asked again before that, it starts over. */
  function afterPaint() {
    let asked = 0;
    const idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 0));
    return (act) => {
      const mine = ++asked;
      requestAnimationFrame(() => requestAnimationFrame(() => idle(() => { if (mine === asked) act(); }, { timeout: 200 })));
    };
  }

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  globalThis.lightboardParts = { fixed, digits, make }; // for the compare page's script

  function script(src, then) {
    const element = make("script", { src });
    element.addEventListener("load", then);
    document.head.append(element);
  }

  // --- picking: the same as suite/pick.py ------------------------------------------------------------------

  const LIMITS = ["latency", "size", "memory", "score"];

  const latency = (one, reference) => (one.ratio === null || reference === null ? null : reference / one.ratio);

  function figure(one, limit, reference) {
    if (limit === "latency") return latency(one, reference);
    return limit === "size" ? one.size_bytes : limit === "memory" ? one.memory_bytes : one.score;
  }

  function holds(one, limit, value, reference) {
    const found = figure(one, limit, reference);
    return found !== null && (limit === "score" ? found >= value : found <= value);
  }

  function overlap(one, other) {
    const [[low, high], [from, to]] = [one, other].map((c) => c.interval || [c.score, c.score]);
    return low <= to && from <= high;
  }

  /** Student's t distribution, a whole number of degrees (Abramowitz and Stegun 26.7.3, 26.7.4). */
  function cdf(t, degrees) {
    const angle = Math.atan(t / Math.sqrt(degrees));
    const [sine, square, odd] = [Math.sin(angle), Math.cos(angle) ** 2, degrees % 2];
    let [term, total] = [odd ? Math.cos(angle) : 1, 0];
    for (let k = 1 + odd; k < degrees; k += 2) {
      total += term;
      term *= (k / (k + 1)) * square;
    }
    return (1 + (odd ? (2 / Math.PI) * (angle + sine * total) : sine * total)) / 2;
  }

  function chance(one, most, reference) {
    if (most === null || reference === null || one.ratio === null || one.log_se === null || one.degrees === null) return null;
    const room = Math.log((most / reference) * one.ratio);
    return one.log_se === 0 ? (room >= 0 ? 1 : 0) : cdf(room / one.log_se, one.degrees);
  }

  function compare(a, b) {
    for (let i = 0; i < a.length; i++) {
      if (a[i] < b[i]) return -1;
      if (a[i] > b[i]) return 1;
    }
    return 0;
  }

  /** candidates, {latency, size, memory, score: number or null}, ms or null -> what suite.pick.pick gives. */
  function pick(candidates, budget, reference) {
    const wanted = LIMITS.filter((limit) => budget[limit] !== null);
    const missed = new Map(candidates.map((one) => [one, wanted.filter((limit) => !holds(one, limit, budget[limit], reference))]));
    const order = (one) => [-one.score, latency(one, reference) ?? Infinity, one.size_bytes ?? Infinity, one.entry];
    const fits = candidates.filter((one) => !missed.get(one).length).sort((a, b) => compare(order(a), order(b)));
    const best = fits.length ? fits[0] : null;
    const choices = fits.map((one) => ({
      candidate: one,
      latency_ms: latency(one, reference),
      chance: chance(one, budget.latency, reference),
      tied: overlap(one, best),
    }));
    const steps = [];
    for (const limit of wanted) {
      const near = candidates
        .filter((one) => missed.get(one).length === 1 && missed.get(one)[0] === limit)
        .filter((one) => figure(one, limit, reference) !== null && (!best || one.score > best.score))
        .map((one) => [Math.abs(figure(one, limit, reference) - budget[limit]), -one.score, one.entry, one])
        .sort(compare);
      if (!near.length) continue;
      const [more, , , one] = near[0];
      steps.push({ limit, more, gain: best ? one.score - best.score : null, tied: Boolean(best) && overlap(one, best), candidate: one, latency_ms: latency(one, reference) });
    }
    const unmeasured = candidates.filter((one) => wanted.some((limit) => figure(one, limit, reference) === null)).length;
    return { choices, steps, unmeasured };
  }

  globalThis.lightboardPick = pick;

  // --- the state, which is the address ---------------------------------------------------------------------

  const DRAWN = 200; // points of the chart, and those of its front
  const NAMED = 8; // methods that a caption names
  const COMPARED = 4; // rows that the compare page shows side by side
  const ROWS_AT_ONCE = 40; // of those that follow
  const BELOW = 10; // of those below the window, together with those in it
  const LOWEST = 44; // pixels: no row is lower
  const LEAST = 50; // pixels: no chart is narrower
  const EMPTY = {
    find: "", method: "", level: "", sort: "", x: "", marked: [], brush: null,
    latency: null, size: null, memory: null, score: null, reference: null, fits: false,
  };
  const NUMBERS = [...LIMITS, "reference"];

  /** Units in the address are those of the page: ms, MB, points. */
  function read(hash) {
    const state = structuredClone(EMPTY);
    if (!hash.includes("=")) return state; // a link to a place on the page
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    for (const key of ["find", "method", "level", "sort", "x"]) state[key] = given.get(key) ?? "";
    state.marked = (given.get("marked") ?? "").split(",").filter(Boolean);
    const brush = (given.get("brush") ?? "").split(",").map(Number);
    if (brush.length === 4 && brush.every(Number.isFinite)) state.brush = { x: brush.slice(0, 2), y: brush.slice(2) };
    for (const key of NUMBERS) {
      const value = given.has(key) ? Number(given.get(key)) : NaN;
      if (Number.isFinite(value) && (value > 0 || key === "score")) state[key] = value;
    }
    state.fits = given.get("fits") === "1";
    return state;
  }

  function written(state) {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) {
      if (key === "brush") { if (value) told.set(key, [...value.x, ...value.y].map((v) => +v.toPrecision(5)).join(",")); }
      else if (Array.isArray(value)) { if (value.length) told.set(key, value.join(",")); }
      else if (value === true) told.set(key, "1");
      else if (value !== null && value !== "" && value !== false) told.set(key, value);
    }
    return told.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
  }

  // --- the page --------------------------------------------------------------------------------------------

  /** A track's rows with what the view adds to each; its columns stand before the last few. */
  function joined(rows, view) {
    return rows.map((row, i) => {
      const { pick: choice, at, sort, cells, noisy } = view.rows[i];
      return {
        ...row,
        noisy,
        board: row.pick, // the score of the table; a lower precision's own is the choice's
        pick: choice && { ...row.pick, ...choice },
        at: { ...row.at, ...at },
        sort: { ...row.sort, ...sort },
        cells: cells && [...row.cells.slice(0, -view.after), ...cells, ...row.cells.slice(-view.after)],
      };
    });
  }

  function explore(data) {
    const one = (selector) => document.querySelector(selector);
    const board = one("#board");
    const base = one("link[rel=stylesheet]").getAttribute("href").replace(/style\.css$/, ""); // the site's root
    const records = data.rows;
    const known = new Map(records.map((record) => [record.id, record]));
    const candidates = records.map((record) => record.pick).filter(Boolean);
    const body = new Map([...board.querySelectorAll("tr[data-entry]")].map((row) => [row.dataset.entry, row]));
    const columns = new Map(data.columns.map((column) => [column.key, column]));
    const axes = new Map(data.axes.map((axis) => [axis.key, axis]));
    const levels = [...(one("#at-level")?.options ?? [])].map((option) => option.value).filter(Boolean);
    const step = Math.max(body.size, 1);
    let shown = step; // rows in the page
    let state = read(location.hash);
    let chart = null;
    let lit = "";
    let last = null;
    let filtered = null;
    let rows = records; // those that pass the filters, in the order of the board
    let listed = records; // those in the table, in its order
    let placed = body.size; // how many of them stand in the page
    let ringed = new Set();
    const orders = new Map();
    const levelOf = new Map(levels.map((level, i) => [level, i]));
    const [rest, still] = [afterPaint(), afterPaint()];

    // --- which rows, in which order ---

    const reference = () => state.reference ?? data.reference_ms;
    const budget = () => ({
      latency: state.latency,
      size: state.size === null ? null : state.size * 1e6,
      memory: state.memory === null ? null : state.memory * 1e6,
      score: state.score,
    });
    const axis = () => axes.get(state.x) ?? data.axes[0];

    function passing() {
      const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
      const least = levels.indexOf(state.level);
      const fitting = state.fits ? new Set(pick(candidates, budget(), reference()).choices.map((c) => c.candidate)) : null;
      return records.filter((row) =>
        words.every((word) => row.text.includes(word)) &&
        (!state.method || row.method === state.method) &&
        (least < 0 || levelOf.get(row.level) >= least) &&
        (!fitting || fitting.has(row.pick)));
    }

    function brushed(rows) {
      if (!state.brush) return rows;
      const key = axis()?.key;
      const { x, y } = state.brush;
      const inside = (value, [from, to]) => value >= Math.min(from, to) && value <= Math.max(from, to);
      return rows.filter((row) => row.at[key] && inside(row.at[key][0], x) && row.pick && inside(row.pick.score, y));
    }

    /** "key" rises, "-key" falls; rows without a value come last either way, and equal ones in the board's order. */
    function sorted(rows) {
      const key = state.sort.replace(/^-/, "");
      if (!columns.has(key)) return rows;
      if (!orders.has(state.sort)) {
        const sign = state.sort.startsWith("-") ? -1 : 1;
        const valued = records.filter((row) => row.sort[key] ?? false);
        valued.sort((a, b) => sign * compare(a.sort[key], b.sort[key]));
        orders.set(state.sort, [...valued, ...records.filter((row) => !(row.sort[key] ?? false))]);
      }
      if (rows.length === records.length) return orders.get(state.sort);
      const kept = new Set(rows);
      return orders.get(state.sort).filter((row) => kept.has(row));
    }

    // --- the table ---

    /** A row that the page does not hold, from its cells; what they say goes in as text. */
    function rowOf(record) {
      if (body.has(record.id)) return body.get(record.id);
      const row = make("tr", { "data-entry": record.id, role: "row" });
      let at = 0;
      const home = `tracks/${data.track}/entries/${record.id}.html`;
      for (const [text, small, note, href, reason, span = 1, kind, drawn] of record.cells) {
        const [set, label] = data.kinds[at];
        const head = at === 1;
        const cell = head ? make("th", { scope: "row", role: "rowheader" })
          : make("td", { class: `${set} ${kind ?? ""}`.trim(), role: "cell", "data-label": at > 1 ? label : null, colspan: span > 1 ? span : null });
        const link = href ? base + href.replace(/^~/, home) : null;
        if (head) {
          const who = make("span", { class: "who" }, make("a", { href: link }, text ?? ""));
          if (small) who.append(" ", make("span", { class: "variant" }, small));
          for (const tag of record.tags) who.append(" ", make("small", { class: "tag" }, tag));
          cell.append(swatch(record), " ");
          cell.append(who);
        } else if (reason !== undefined && reason !== null) {
          cell.append(link ? make("a", { class: "why", href: link }, reason) : make("span", { class: "why" }, reason));
        } else {
          if (drawn) cell.append(strip(record));
          if (text) cell.append(link ? make("a", { href: link }, text) : text);
          if (small) cell.append(" ", make("small", {}, small));
          if (note) cell.append(" ", make("small", { class: "note" }, note));
        }
        row.append(cell);
        at += span;
      }
      body.set(record.id, row);
      pinnable(row, record);
      if (ringed.has(record.id)) ring(record.id, true);
      return row;
    }

    const SVG = "http://www.w3.org/2000/svg";
    const drawings = new Map();

    /** A method's mark, one of the few that the site itself drew. */
    function swatch(record) {
      const key = `${record.hue} ${record.default ? "True" : "False"}`;
      if (!drawings.has(key)) {
        const source = data.swatches[key].replace("<svg", `<svg xmlns="${SVG}"`);
        drawings.set(key, document.importNode(new DOMParser().parseFromString(source, "image/svg+xml").documentElement, true));
      }
      return drawings.get(key).cloneNode(true);
    }

    /** A row's interval on the scale of its column, as suite/board/charts.py draws it. */
    function strip(record) {
      const [low, high] = data.strip;
      const at = (value) => 7 + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * 106;
      const part = (name, attributes) => {
        const element = document.createElementNS(SVG, name);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        return element;
      };
      const drawn = part("svg", { class: "strip", viewBox: "0 0 120 16", "aria-hidden": "true", focusable: "false" });
      const { score, interval } = record.board;
      if (score < low || score > high) {
        const [x, turn] = score < low ? [2, 6] : [118, -6];
        drawn.append(part("path", { class: "beyond", d: `M${x + turn} 4 L${x} 8 L${x + turn} 12` }));
        return drawn;
      }
      if (interval) drawn.append(part("line", { class: `whisker ${record.hue}`, x1: at(interval[0]), x2: at(interval[1]), y1: 8, y2: 8 }));
      const mark = part("g", { transform: `translate(${at(score) - 8} 0)` });
      mark.append(swatch(record).firstElementChild);
      drawn.append(mark);
      return drawn;
    }

    /** The mark before a name becomes a button that rings its point. */
    function pinnable(row, record) {
      const swatch = row.querySelector("th .swatch");
      if (!swatch || !data.axes.length) return;
      const button = make("button", { type: "button", class: "pin", "aria-pressed": "false", "aria-label": `Ring ${record.label} in the chart` });
      swatch.replaceWith(button);
      button.append(swatch);
    }

    function heading(words) {
      const cell = make("th", { colspan: data.kinds.length, scope: "rowgroup", role: "rowheader" }, words);
      return make("tr", { class: "group", role: "row" }, cell);
    }

    /** Columns keep the widths they have with all rows, whatever is filtered. */
    let held = false;
    function hold() {
      if (held || getComputedStyle(board).display !== "table") return;
      const heads = [...board.tHead.rows[0].cells];
      const widths = heads.map((head) => head.getBoundingClientRect().width);
      const whole = board.getBoundingClientRect().width;
      heads.forEach((head, i) => { head.style.width = `${widths[i]}px`; });
      board.style.width = `${whole}px`;
      board.style.tableLayout = "fixed";
      held = true;
    }
    function release() {
      for (const element of [board, ...board.tHead.rows[0].cells]) { element.style.width = ""; element.style.tableLayout = ""; }
      held = false;
    }
    let across = innerWidth;
    addEventListener("resize", () => { if (held && innerWidth !== across) release(); across = innerWidth; });
    addEventListener("beforeprint", () => { release(); place(shown, document.activeElement); }); // paper has its own width
    still(hold); // measured before the first hand asks for it

    /** The rows in view now; those below follow when these are painted. */
    function table(found) {
      hold();
      const focused = document.activeElement;
      const inView = Math.ceil((innerHeight - board.getBoundingClientRect().top) / LOWEST);
      for (const old of [...board.tBodies]) old.remove();
      [listed, placed] = [found, 0];
      if (!found.length) board.append(make("tbody", { role: "rowgroup" }, heading("No row is left; widen the filters above")));
      place(Math.max(inView, 0) + BELOW, focused);
      rest(() => placeRest(focused));
      const more = one("#more-rows");
      if (more) more.hidden = found.length <= shown;
    }

    function placeRest(focused) {
      place(placed + ROWS_AT_ONCE, focused);
      if (placed < Math.min(shown, listed.length)) rest(() => placeRest(focused));
    }

    /** Rows up to so many, each below the heading of its group. */
    function place(most, focused) {
      const made = document.createDocumentFragment();
      let group = board.tBodies[board.tBodies.length - 1];
      for (const row of listed.slice(placed, Math.min(most, shown))) {
        const name = groupOf(row);
        if (!placed || group.rows[0].textContent !== name) group = made.appendChild(make("tbody", { role: "rowgroup" }, heading(name)));
        group.append(rowOf(row));
        placed += 1;
      }
      board.append(made);
      if (focused !== document.activeElement && board.contains(focused)) focused.focus({ preventScroll: true });
    }

    function groupOf(row) {
      const key = state.sort.replace(/^-/, "");
      if (!columns.has(key)) return row.group;
      const falls = state.sort.startsWith("-");
      const direction = key === "method" ? (falls ? "Z to A" : "A to Z") : falls ? "from the highest down" : "from the lowest up";
      return `All rows by ${columns.get(key).title}, ${direction}`;
    }

    function heads() {
      const key = state.sort.replace(/^-/, "");
      for (const head of board.querySelectorAll("th[data-key]")) {
        if (head.dataset.key === key) head.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
    }

    // --- one row lit, some ringed ---

    function light(id) {
      if (id === lit) return;
      for (const element of document.querySelectorAll(".lit")) element.classList.remove("lit");
      lit = id;
      if (id) {
        body.get(id)?.classList.add("lit");
        for (const point of document.querySelectorAll(`.plot a[data-entry="${CSS.escape(id)}"]`)) point.classList.add("lit");
      }
      const readout = one(".readout");
      if (readout) readout.textContent = id ? told(known.get(id)) : "";
      chart?.light(id);
    }

    function told(row) {
      const at = axis() && row.at[axis().key];
      const score = row.pick ? `score ${fixed(row.pick.score, 1)}` : "no score";
      return `${row.label}: ${score}${at ? `, ${digits(at[0])} ${axis().unit}` : ""}`;
    }

    function mark(id) {
      const marked = state.marked.includes(id) ? state.marked.filter((other) => other !== id) : [...state.marked, id];
      change({ marked });
    }

    function ring(id, on) {
      const row = body.get(id);
      row?.classList.toggle("marked", on);
      row?.querySelector(".pin")?.setAttribute("aria-pressed", String(on));
      for (const point of document.querySelectorAll(`.plot a[data-entry="${CSS.escape(id)}"]`)) point.classList.toggle("marked", on);
    }

    function pins() {
      const now = new Set(state.marked);
      for (const id of ringed) if (!now.has(id)) ring(id, false);
      for (const id of now) if (!ringed.has(id)) ring(id, true);
      ringed = now;
    }

    // --- the budget ---

    const UNITS = { latency: "ms", size: "MB", memory: "MB", score: "" };
    const short = (value) => fixed(value, 6).replace(/\.?0+$/, ""); // a limit as it was set
    const LIMIT_WORDS = {
      latency: (v) => `${short(v)} ms`, size: (v) => `${short(v)} MB file`, memory: (v) => `${short(v)} MB memory`, score: (v) => `score ${short(v)}`,
    };

    /** What a slider reaches from and to: the rows' own range, a little wider. */
    const ranges = new Map();
    function range(limit) {
      const name = `${limit} ${limit === "latency" ? reference() : ""}`;
      if (!ranges.has(name)) ranges.set(name, measured(limit));
      return ranges.get(name);
    }

    function measured(limit) {
      const scale = limit === "size" || limit === "memory" ? 1e6 : 1;
      // Of the models that are compared: what guesses or counts words is far below them all.
      const values = records.filter((row) => row.pick && !row.baseline).map((row) => row.pick).map((c) => figure(c, limit, reference())).filter((v) => v !== null && (v > 0 || limit === "score")).map((v) => v / scale);
      if (!values.length) return null;
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return limit === "score" ? [low, high] : [low * 0.9, high * 1.1];
    }

    function valueAt(limit, place) {
      if (range(limit) === null) return null; // a limit from another view: moving its slider takes it off
      const [low, high] = range(limit);
      if (limit === "score") return place === 0 ? null : +(low + ((high - low) * place) / 1000).toFixed(1);
      return place === 1000 ? null : +(low * (high / low) ** (place / 1000)).toPrecision(2);
    }

    function placeOf(limit, value) {
      if (value === null) return limit === "score" ? 0 : 1000;
      const [low, high] = range(limit);
      const share = limit === "score" ? (value - low) / (high - low || 1) : Math.log(value / low) / Math.log(high / low);
      return Math.round(Math.min(Math.max(share, 0), 1) * 1000);
    }

    function limits() {
      for (const limit of LIMITS) {
        const slider = one(`#limit-${limit}`);
        if (!slider) continue;
        const known_range = range(limit);
        const value = state[limit];
        slider.disabled = known_range === null && value === null;
        const words = known_range === null ? "not measured" : value === null ? `any ${limit}` : LIMIT_WORDS[limit](value);
        if (known_range !== null && document.activeElement !== slider) slider.value = placeOf(limit, value);
        slider.setAttribute("aria-valuetext", words);
        slider.parentElement.querySelector("output").textContent = words;
      }
      const own = one("#own-ms");
      if (own && document.activeElement !== own) {
        own.value = state.reference ?? "";
        own.placeholder = data.reference_ms === null ? "" : digits(data.reference_ms, 3, 2);
      }
    }

    const percent = (p) => (p > 0.995 ? "over 99%" : p < 0.005 ? "under 1%" : `${Math.round(100 * p)}%`);
    const link = (c) => make("a", { href: `${base}tracks/${c.entry.split("/")[0]}/entries/${c.entry.split("/").slice(1).join("/")}.html` }, c.label);

    let answered = "";
    function picked() {
      const place = one("#picked");
      const asked_now = JSON.stringify([budget(), reference()]);
      if (!place || asked_now === answered) return;
      answered = asked_now;
      const found = pick(candidates, budget(), reference());
      const best = found.choices[0];
      const said = [];
      const set = LIMITS.some((limit) => state[limit] !== null);
      const count = make("strong", {}, best ? `${found.choices.length} of ${plural(candidates.length, "row")} fit${found.choices.length === 1 ? "s" : ""}. ` : "Nothing fits. ");
      const first = make("p", {}, count);
      if (best) {
        const c = best.candidate;
        const about = [`score ${fixed(c.score, 1)}`];
        if (best.latency_ms !== null) about.push(`about ${digits(best.latency_ms, 3, 2)} ms`);
        if (c.size_bytes !== null) about.push(`${digits(c.size_bytes / 1e6)} MB`);
        first.append("Best: ", link(c), `, ${about.join(", ")}.`);
        if (best.chance !== null) first.append(` It keeps ${short(state.latency)} ms with a chance of ${percent(best.chance)}${state.reference === null ? "" : " on your machine"}${c.noisy ? ", by a noisy measurement" : ""}.`);
        else if (state.latency !== null) first.append(" Too few process pairs were timed to say how sure its latency is.");
        said.push(first);
        const tied = found.choices.slice(1).filter((choice) => choice.tied);
        if (tied.length) {
          const also = make("p", {}, "Not clearly worse: ");
          tied.slice(0, 3).forEach((choice, i) => {
            const more = choice.chance === null ? (choice.latency_ms === null ? "" : ` (${digits(choice.latency_ms, 3, 2)} ms)`) : ` (${digits(choice.latency_ms, 3, 2)} ms, ${percent(choice.chance)})`;
            also.append(i ? ", " : "", link(choice.candidate), more);
          });
          also.append(tied.length > 3 ? ` and ${tied.length - 3} more.` : ".");
          said.push(also);
        }
      } else said.push(first);
      for (const one_step of found.steps) said.push(step_words(one_step));
      if (!set) said.push(make("p", { class: "why" }, "Set a limit to see what the next step up would cost."));
      if (found.unmeasured) said.push(make("p", { class: "why" }, `${plural(found.unmeasured, "row")} ${found.unmeasured === 1 ? "has" : "have"} no figure for a limit that is set.`));
      if (best) {
        const c = best.candidate;
        said.push(make("pre", { tabindex: "0", "aria-label": "The command that fetches the model" }, make("code", {}, `lightboard get ${c.entry}${c.runtime ? ` --runtime ${c.runtime}` : ""} --out ${c.entry.split("/")[1]}`)));
      }
      place.replaceChildren(...said);
    }

    function step_words(one_step) {
      const scale = one_step.limit === "size" || one_step.limit === "memory" ? 1e6 : 1;
      const more = digits(one_step.more / scale, 2, 2);
      const amount = one_step.limit === "score" ? `${more} points less` : `${more} ${UNITS[one_step.limit]} more${one_step.limit === "memory" ? " memory" : ""}`;
      const gain = one_step.gain === null ? "" : `+${fixed(one_step.gain, one_step.gain < 0.1 ? 2 : 1)}`;
      const buys = !gain || one_step.tied ? "admits" : `buys ${gain}:`;
      const doubt = one_step.tied ? `, ${gain}, which may be chance` : "";
      return make("p", {}, make("strong", {}, `${amount} ${buys} `), link(one_step.candidate), `${doubt}.`);
    }

    // --- all of it ---

    let asked = 0;
    function change(news, quick = false) {
      Object.assign(state, news);
      if (!("marked" in news)) shown = step;
      const hash = written(state);
      try { history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search); }
      catch { location.replace("#" + hash); }
      if (quick) { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); } else draw();
    }

    const filterKey = () => JSON.stringify([state.find, state.method, state.level, state.fits && budget(), state.fits && state.reference]);
    const tableKey = () => JSON.stringify([filterKey(), state.sort, state.brush, shown]);

    function draw() {
      const filters = filterKey();
      if (filters !== filtered) rows = passing();
      filtered = filters;
      const key = tableKey();
      if (key !== last) {
        const inside = brushed(rows);
        table(sorted(inside));
        last = key;
        const count = inside.length === records.length ? plural(records.length, "row") : `${inside.length} of ${plural(records.length, "row")}`;
        const status = one(".filters [role=status]");
        if (status && status.textContent !== count) status.textContent = count;
      }
      heads();
      pins();
      controls();
      limits();
      picked();
      chart?.draw(rows, filters);
      const hash = written(state);
      for (const other of document.querySelectorAll(".pickers a")) aim(other, hash);
      comparing();
    }

    const aim = (link, hash) => { link.href = link.getAttribute("href").replace(/#.*/, "") + (hash ? "#" + hash : ""); };

    /** The way to the compare page takes the ringed rows along, as many as it can show. */
    const comparison = one("#compare");
    const unringed = comparison?.textContent;
    function comparing() {
      if (!comparison) return;
      const ids = state.marked.filter((id) => known.has(id)).slice(0, COMPARED);
      aim(comparison, ids.length ? `entries=${ids.join(",")}` : "");
      comparison.textContent = ids.length > 1 ? `Compare the ${ids.length} ringed` : ids.length ? "Compare the ringed one with others" : unringed;
    }

    function controls() {
      const values = { "#find": state.find, "#of-method": state.method, "#at-level": state.level, "#across": axis()?.key, "#sort-by": state.sort.replace(/^-/, "") };
      for (const [selector, value] of Object.entries(values)) {
        const field = one(selector);
        if (field && field.value !== value) field.value = value;
      }
      if (one("#fits")) one("#fits").checked = state.fits;
      const all = one("#all-rows");
      if (all) all.hidden = !(state.find || state.method || state.level || state.brush || state.fits || state.sort);
      const caption = one(".explore figcaption");
      if (caption && chart) chart.caption(caption);
    }

    // --- hands ---

    function sortBy(key) {
      const natural = (columns.get(key).rising ? "" : "-") + key;
      const other = natural.startsWith("-") ? key : "-" + key;
      change({ sort: state.sort === natural ? other : state.sort === other ? "" : natural });
    }

    for (const head of board.querySelectorAll("th[data-key]")) {
      const title = columns.get(head.dataset.key)?.title;
      if (!title) continue;
      const button = make("button", { type: "button", class: "sort", "aria-label": `Sort by ${title}` });
      head.append(button);
      button.addEventListener("click", () => sortBy(head.dataset.key));
    }
    for (const [id, row] of body) if (known.has(id)) pinnable(row, known.get(id));

    const entryOf = (event) => event.target.closest?.("[data-entry]")?.dataset.entry ?? "";
    for (const place of [board, ...document.querySelectorAll(".plot")]) {
      place.addEventListener("pointerover", (event) => { if (entryOf(event)) light(entryOf(event)); });
      place.addEventListener("pointerleave", () => light(""));
      place.addEventListener("focusin", (event) => light(entryOf(event)));
    }
    board.addEventListener("click", (event) => {
      if (event.target.closest(".pin")) mark(entryOf(event));
      else if (entryOf(event) && !event.target.closest("a, button") && !String(getSelection())) mark(entryOf(event));
    });

    const on = (selector, kind, act) => one(selector)?.addEventListener(kind, act);
    on("#find", "input", (event) => change({ find: event.target.value }));
    on("#of-method", "change", (event) => change({ method: event.target.value }));
    on("#at-level", "change", (event) => change({ level: event.target.value }));
    on("#across", "change", (event) => { chart?.clear(); change({ x: event.target.value, brush: null }); });
    on("#sort-by", "change", (event) => change({ sort: event.target.value && (columns.get(event.target.value).rising ? "" : "-") + event.target.value }));
    on("#fits", "change", (event) => change({ fits: event.target.checked }));
    on("#all-rows", "click", () => { chart?.clear(); change({ find: "", method: "", level: "", brush: null, fits: false, sort: "" }); one("#find").focus(); });
    on("#more-rows", "click", () => { shown += step; draw(); });
    on("#own-ms", "input", (event) => change({ reference: event.target.valueAsNumber > 0 ? event.target.valueAsNumber : null }));
    for (const limit of LIMITS) on(`#limit-${limit}`, "input", (event) => change({ [limit]: valueAt(limit, event.target.valueAsNumber) }, true));

    // The picker is a sheet at the bottom of a narrow screen.
    const sheet = one("#pick");
    const handle = one("#pick .handle");
    const open = (wanted) => { sheet.classList.toggle("open", wanted); handle.setAttribute("aria-expanded", String(wanted)); };
    handle?.addEventListener("click", () => open(!sheet.classList.contains("open")));
    sheet?.addEventListener("keydown", (event) => { if (event.key === "Escape" && sheet.classList.contains("open")) { open(false); handle.focus(); } });

    addEventListener("hashchange", () => {
      if (location.hash && !location.hash.includes("=")) { // a link within the page took the address
        if (written(state)) history.replaceState(null, "", "#" + written(state));
        return;
      }
      state = read(location.hash);
      chart?.restore();
      draw();
    });

    if (written(state)) draw(); else {
      [filtered, last] = [filterKey(), tableKey()]; // the table stands as it was printed
      heads(); pins(); controls(); limits(); picked();
    }
    return {
      data, known, axis,
      get state() { return state; },
      passing, light, mark, change,
      adopt(made) { chart = made; draw(); },
      themed: () => chart?.themed(),
    };
  }

  // --- the chart that is explored --------------------------------------------------------------------------

  /** Loads the library once the page has been painted; then the drawn chart gives way to one that answers. */
  function live(page) {
    const section = document.querySelector(".explore[data-chart]");
    const plot = section?.querySelector(".plot");
    if (!plot || !page.data.axes.length) return;
    const load = () => script(section.dataset.chart, () => embed(page, plot));
    const idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 200));
    if (document.readyState === "complete") idle(load); else addEventListener("load", () => idle(load));
  }

  async function embed(page, plot) {
    const { data, known } = page;
    const { spec, shapes } = globalThis.lightboardChart;
    const place = make("div", { class: "live", role: "img" });
    plot.append(place);
    let view = null;
    let frame = null;
    let inks = null;
    let rows = [];
    let quiet = false; // the brush is being set from here
    let original = null; // what the page says below the chart
    let captioned = data.axes[0].key;
    const CAPTION = "Bars are 95% intervals; the stepped line joins what no other compressed model drawn beats on both counts "
      + "(baselines are drawn apart); curves join operating points of one method that differ in one setting.";
    const PAPERS = " Dashed, without bars: what a paper reports, at our measured cost; other rules than ours, never ranked.";

    /** The methods that have rows with a score but no place across, each once, as suite/board/pareto.py names them. */
    function undrawn(key) {
      const scored = data.rows.filter((row) => row.board && !row.baseline);
      const drawn = new Set(scored.filter((row) => row.at[key]).map((row) => row.method));
      const lacking = new Map(scored.filter((row) => !row.at[key]).map((row) => [row.method, row.name]));
      const names = [...lacking].sort((a, b) => compare([drawn.has(a[0]), a[0]], [drawn.has(b[0]), b[0]]))
        .map(([method, name]) => (drawn.has(method) ? "some of " : "") + name);
      const told = names.length > NAMED ? [...names.slice(0, NAMED), `${names.length - NAMED} more`] : names;
      return told.length ? ` Not drawn, with no figure above 0 in this view: ${told.join(", ")}.` : "";
    }

    const colour = (() => {
      const probe = plot.appendChild(make("i", { class: "unseen", "aria-hidden": "true" }));
      return (name, kind = "") => {
        probe.className = `unseen ${kind}`;
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
      };
    })();

    function sizes() {
      const width = plot.clientWidth;
      const wide = matchMedia("(min-width: 36.01rem)").matches;
      const [w, h, left, right, top, bottom, font] = wide ? [620, 420, 40, 18, 30, 46, 12.5] : [360, 330, 34, 12, 28, 44, 12];
      const k = width / w;
      return { k, wide, left: left * k, right: right * k, top: top * k, bottom: bottom * k, font: font * k, width, height: (width * h) / w };
    }

    const hues = () => {
      const found = new Map();
      for (const row of data.rows) if (!found.has(row.hue)) found.set(row.hue, colour("--hue", row.hue));
      return found;
    };

    function readInks() {
      inks = { ink: colour("--ink"), soft: colour("--soft"), rule: colour("--rule"), paper: colour("--paper"), hues: hues() };
    }

    /** The chart's lower end, with room for the baselines that lie under it. */
    function scoreDomain() {
      const [low, high] = data.y_domain;
      const outside = data.lines.filter((line) => line.y < low || line.y > high).length;
      const room = outside * 15.5 * frame.k;
      return [low - ((high - low) * room) / (frame.height - frame.top - frame.bottom - room), high];
    }

    const lines = () => {
      const [low, high] = data.y_domain;
      let below = 0;
      return [...data.lines].sort((a, b) => b.y - a.y).map(({ y, label: name, more }) => {
        const label = name + (frame.wide && page.axis().key === "speed" ? more : "");
        const outside = y < low || y > high;
        return { y: outside ? low : y, below: outside ? below++ : -1, label: outside ? `${y < low ? "below" : "above"}: ${label}` : label };
      });
    };

    /** The best by score, as many as can be told apart, what lies on the front, and what is ringed. */
    function drawable() {
      const { key, better } = page.axis();
      const all = rows.filter((row) => row.at[key] && row.pick && !row.baseline);
      if (all.length <= DRAWN) return all;
      const kept = new Set([...all].sort((a, b) => b.pick.score - a.pick.score).slice(0, DRAWN));
      for (const row of all) if (page.state.marked.includes(row.id)) kept.add(row);
      let best = -Infinity;
      const sign = better === "more" ? -1 : 1;
      for (const row of [...all].sort((a, b) => sign * (a.at[key][0] - b.at[key][0]) || b.pick.score - a.pick.score)) {
        if (row.pick.score > best) kept.add(row);
        best = Math.max(best, row.pick.score);
      }
      return all.filter((row) => kept.has(row));
    }

    function points() {
      const { key } = page.axis();
      const beside = data.reported.filter((one) => known.get(one.entry).at[key]).map(({ entry, y, hue, shape }) => ({
        id: null, label: "", x: known.get(entry).at[key][0], x_low: null, x_high: null, y, y_low: null, y_high: null,
        hue: inks.hues.get(hue), fill: inks.paper, stroke: inks.hues.get(hue), width: 1.6, shape: shapes[shape] ?? "circle",
        name: "", align: "left", dx: 0, dy: 0, family: `${entry}, reported`, size: 85 * frame.k ** 2, noisy: false, reference: false, reported: true,
      }));
      const order = (row) => 2 * row.reference + row.default; // what a reader looks for first is drawn last
      return [...beside, ...drawable().sort((a, b) => order(a) - order(b)).map((row) => {
        const [x, from = null, to = null] = row.at[key];
        const [low, high] = row.pick.interval ?? [null, null];
        const hue = inks.hues.get(row.hue);
        return {
          id: row.id, label: row.default ? row.name : "", name: "", align: "left", dx: 0, dy: 0, x, x_low: from, x_high: to,
          y: row.pick.score, y_low: low, y_high: high,
          hue, fill: row.default ? hue : inks.paper, stroke: row.default ? inks.paper : hue,
          width: row.default ? 1 : 1.6, shape: shapes[row.shape] ?? "circle", family: row.family,
          size: (row.default ? 85 : 55) * frame.k ** 2, noisy: row.noisy && key === "speed", reference: row.reference, reported: false,
        };
      })];
    }

    /** Steps: between two points of the front, the lower score is what is to be had. */
    function front(drawn) {
      const { better, domain } = page.axis();
      const sign = better === "more" ? -1 : 1;
      const corners = [];
      let best = -Infinity;
      for (const point of [...drawn].sort((a, b) => sign * (a.x - b.x) || b.y - a.y)) {
        if (point.reported || point.y <= best) continue;
        if (corners.length) corners.push({ x: point.x, y: best });
        corners.push({ x: point.x, y: point.y });
        best = point.y;
      }
      if (corners.length) corners.push({ x: better === "more" ? domain[0] : domain[1], y: best });
      return corners.map((corner, order) => ({ ...corner, order }));
    }

    function parameters() {
      const { title, better, suffix, domain, ticks } = page.axis();
      return {
        lit: "", pinned: page.state.marked,
        x_domain: domain, y_domain: scoreDomain(), x_ticks: ticks[frame.wide ? "wide" : "narrow"], x_suffix: suffix,
        x_more: better === "more", x_title: better === "more" ? `${title}, log scale →` : `← ${title}, log scale`,
        y_title: "board score ↑", left: frame.left, k: frame.k, ink: inks.ink, soft: inks.soft, rule: inks.rule,
      };
    }

    const family = getComputedStyle(document.body).fontFamily;
    const pen = make("canvas").getContext("2d");
    const covered = ([left, top, right, bottom], others) => others.reduce((sum, [x1, y1, x2, y2]) =>
      sum + Math.max(Math.min(right, x2) - Math.max(left, x1), 0) * Math.max(Math.min(bottom, y2) - Math.max(top, y1), 0), 0);

    /** Where each name stands beside its point, as suite/board/scatter.py places them: on no mark and no other word,
        on as little of lines as may be; a name without room is left to the legend. */
    function named(drawn, corners) {
      const { x_domain: [x0, x1], y_domain: [y0, y1], x_more } = parameters();
      const { k, font } = frame;
      const [width, height] = [frame.width - frame.left - frame.right, frame.height - frame.top - frame.bottom];
      const inside = (share) => Math.min(Math.max(share, 0), 1);
      const across = (value) => width * inside(Math.log(value / x0) / Math.log(x1 / x0));
      const up = (value) => height * (1 - inside((value - y0) / (y1 - y0)));
      pen.font = `${font}px ${family}`;
      const long = (text) => pen.measureText(text).width;
      const solid = drawn.map(({ x, y }) => [across(x) - 6 * k, up(y) - 6 * k, across(x) + 6 * k, up(y) + 6 * k]);
      const soft = [];
      const line = (ax, ay, bx, by) => soft.push([Math.min(ax, bx) - 1, Math.min(ay, by) - 1, Math.max(ax, bx) + 1, Math.max(ay, by) + 1]);
      corners.slice(1).forEach((to, i) => line(across(corners[i].x), up(corners[i].y), across(to.x), up(to.y)));
      for (const { x, x_low, x_high, y, y_low, y_high } of drawn) {
        if (x_low !== null) line(across(x_low), up(y), across(x_high), up(y));
        if (y_low !== null) line(across(x), up(y_low), across(x), up(y_high));
      }
      for (const { y, below, label } of lines()) {
        const at = below < 0 ? up(y) - 8 : height - (8 + 15 * below) * k; // the middle of the words, as they are drawn
        const start = below < 0 && x_more ? width - 2 - long(label) : 4;
        solid.push([start, at - font / 2 - 2, start + long(label), at + font / 2 + 2]);
        if (below < 0) line(0, up(y), width, up(y));
      }
      const places = (x, y, gap) => [
        ["left", x + gap, y + 4.5 * k], ["right", x - gap, y + 4.5 * k],
        ["left", x + gap - 3 * k, y - gap + 2 * k], ["left", x + gap - 3 * k, y + gap + 8 * k],
        ["right", x - gap + 3 * k, y - gap + 2 * k], ["right", x - gap + 3 * k, y + gap + 8 * k],
        ["center", x, y - gap - 3 * k], ["center", x, y + gap + font],
      ];
      const first = (point) => [-point.reference, -point.y, point.label];
      for (const point of drawn.filter(({ label }) => label).sort((a, b) => compare(first(a), first(b)))) {
        const [x, y, wide] = [across(point.x), up(point.y), long(point.label)];
        let best = null;
        places(x, y, (point.reference ? 12 : 9) * k).forEach(([align, tx, ty], order) => {
          const start = { left: tx, right: tx - wide, center: tx - wide / 2 }[align];
          const box = [start, ty - font + 2, start + wide, ty + 2];
          if (box[0] < 0 || box[2] > width + frame.right - 2 || box[1] < -10 * k || box[3] > height || covered(box, solid)) return;
          const cost = covered(box, soft) / k ** 2 + order;
          if (!best || cost < best.cost) best = { cost, box, align, dx: tx - x, dy: ty - y };
        });
        if (best) solid.push([best.box[0] - 6 * k, best.box[1], best.box[2] + 6 * k, best.box[3]]); // words side by side stay two names
        Object.assign(point, { name: best ? point.label : "", align: best?.align ?? "left", dx: best?.dx ?? 0, dy: best?.dy ?? 0 });
      }
      return drawn;
    }

    /** The names as marks of the library; its grammar has none that are placed one by one. */
    const labelled = (compiled) => {
      const beside = Object.fromEntries(["align", "dx", "dy"].map((channel) => [channel, { field: `datum.${channel}` }]));
      compiled.marks.push({
        type: "text", name: "labels", interactive: false, from: { data: "marks_marks" },
        encode: { update: {
          ...beside, x: { field: "x" }, y: { field: "y" }, text: { field: "datum.name" },
          fontSize: { value: frame.font }, font: { value: family }, fill: { signal: "ink" },
        } },
      });
      return compiled;
    };

    async function build() {
      if (plot.clientWidth < LEAST) return; // a collapsed window: there is no room between the margins
      frame = sizes();
      readInks();
      const own = structuredClone(spec);
      const drawn = points();
      const corners = front(drawn);
      const values = parameters();
      for (const parameter of own.params) if (parameter.name in values) parameter.value = values[parameter.name];
      const brush = own.params.find((parameter) => parameter.name === "brush");
      if (page.state.brush) brush.value = structuredClone(page.state.brush);
      Object.assign(own.datasets, { points: named(drawn, corners), front: corners, lines: lines() });
      own.width = frame.width - frame.left - frame.right;
      own.height = frame.height - frame.top - frame.bottom;
      own.padding = { left: frame.left, right: frame.right, top: frame.top, bottom: frame.bottom };
      own.config.axis.labelFontSize = frame.font;
      own.config.text.fontSize = frame.font * 0.95;
      own.config.font = family;
      const made = await globalThis.vegaEmbed(place, own, {
        mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: false, patch: labelled,
      });
      place.querySelector("svg").setAttribute("aria-hidden", "true"); // nameless marks; the label and the table say it all
      view = made.view;
      view.addEventListener("pointerover", (event, item) => page.light(item?.datum?.id ?? ""));
      view.addEventListener("pointerout", () => page.light(""));
      view.addEventListener("click", (event, item) => { if (item?.datum?.id) page.mark(item.datum.id); });
      view.addSignalListener("brush", (name, value) => {
        if (quiet) return;
        const found = value.x && value.y ? { x: [...value.x].sort((a, b) => a - b), y: [...value.y].sort((a, b) => a - b) } : null;
        if (JSON.stringify(found) !== JSON.stringify(page.state.brush)) page.change({ brush: found }, true);
      });
      plot.classList.add("answers");
      tellAloud(drawn);
    }

    let told = "";
    let building = Promise.resolve();
    const again = () => { building = building.then(build); return building; };

    const later = afterPaint();
    function redraw() {
      const drawn = points();
      const corners = front(drawn);
      for (const [name, value] of Object.entries(parameters())) if (name !== "lit") view.signal(name, value);
      view.data("points", named(drawn, corners)).data("front", corners).data("lines", lines()).runAsync();
      tellAloud(drawn);
    }
    function tellAloud(drawn) {
      place.setAttribute("aria-label", `Board score against ${page.axis().title}: ${drawn.filter((point) => !point.reported).length} rows drawn; the table below has the same numbers`);
    }

    const chart = {
      light(id) { view?.signal("lit", id).runAsync(); },
      draw(found, filters) {
        rows = found;
        if (!view) return;
        const key = JSON.stringify([page.axis().key, filters, page.state.marked]);
        if (key === told) return;
        told = key;
        later(redraw);
      },
      clear() {
        if (!view || !page.state.brush) return;
        quiet = true;
        view.signal("brush_x", []).signal("brush_y", []).runAsync().then(() => { quiet = false; });
      },
      restore() { again(); },
      themed() { again(); },
      caption(element) {
        original ??= [...element.childNodes].map((node) => node.cloneNode(true));
        const { key, title } = page.axis();
        if (key === captioned) return;
        captioned = key;
        if (key === data.axes[0].key) element.replaceChildren(...original.map((node) => node.cloneNode(true)));
        else element.replaceChildren(make("strong", {}, `Score against ${title}.`), " Up is better, left is less. " + CAPTION + undrawn(key) + (data.reported.length ? PAPERS : ""));
      },
    };
    rows = page.passing();
    await again();
    page.adopt(chart);
    let width = plot.clientWidth;
    new ResizeObserver(() => { if (Math.abs(plot.clientWidth - width) > 1) { width = plot.clientWidth; again(); } }).observe(plot);
  }

  /** The rows as data are most of what a front page reads: they come once the printed ones are painted. */
  function withRows(then) {
    const sources = document.querySelector("[data-scripts]")?.dataset.scripts.split(" ") ?? [];
    let missing = sources.length;
    const loaded = () => { if (--missing === 0) then(globalThis.lightboardTrack, globalThis.lightboardData); };
    const load = () => { for (const source of sources) script(source, loaded); };
    if (location.hash.includes("=")) load(); else afterPaint()(load); // an address with a state shows nothing else first
  }

  document.addEventListener("DOMContentLoaded", () => {
    let page = null;
    themes(() => page?.themed());
    withRows((track, view) => {
      page = explore({ ...track, ...view, rows: joined(track.rows, view) });
      live(page);
    });
  });
})();
