/* Fills the report from the JSON in the page: choices, tables and charts. All text is set as text, never as HTML. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const MINUS = "\u2212";

  // -- small parts ---------------------------------------------------------------------------------------------

  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /* A name may break after an underscore. */
  const named = (text) => el("bdi", {}, ...String(text).split(/(?<=_)/).flatMap((part, i) => (i ? [el("wbr"), part] : [part])));
  const known = (value) => value !== null && value !== undefined;

  function number(value, digits = 3) {
    if (!known(value)) return "";
    const text = Number.isInteger(value) && Math.abs(value) < 1e9
      ? value.toLocaleString("en") : Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
    return text.replace("-", MINUS);
  }

  function signed(value, digits = 1) {
    if (!known(value)) return "";
    const text = Math.abs(value).toFixed(digits);
    return (Number(text) === 0 ? "" : value > 0 ? "+" : MINUS) + text;
  }

  const share = (value) => (known(value) ? `${Math.round(100 * value)} %` : "");

  function options(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => el("option", { value }, text)));
    return select;
  }

  /* Names of datasets, the reader's own before the shipped ones. first: entries above both. */
  function names(select, all, own, first = []) {
    const mine = new Set(own);
    const every = [...all];
    const some = (wanted) => every.filter((name) => mine.has(name) === wanted).sort().map((name) => el("option", { value: name }, name));
    const [yours, shipped] = [some(true), some(false)];
    const groups = yours.length && shipped.length
      ? [el("optgroup", { label: "yours" }, ...yours), el("optgroup", { label: "shipped" }, ...shipped)] : [...yours, ...shipped];
    select.replaceChildren(...first.map(([value, text]) => el("option", { value }, text)), ...groups);
    return select;
  }

  /* Paper has no menus: the choices of each row of menus are printed as text. */
  function tellChoices() {
    for (const controls of document.querySelectorAll(".controls")) {
      if (!controls.nextElementSibling?.classList.contains("chosen")) controls.after(el("p", { class: "chosen", "aria-hidden": "true" }));
      const chosen = [...controls.querySelectorAll("label")].map((label) => {
        const field = label.querySelector("select, input");
        const value = field.tagName === "SELECT" ? field.selectedOptions[0]?.textContent : field.value.trim();
        return value ? `${label.firstChild.textContent}: ${value}` : "";
      });
      controls.nextElementSibling.replaceChildren(chosen.filter(Boolean).join("; "));
    }
  }

  const kindly = (kind) => ["number", "cut", "name"].filter((key) => kind[key]).map((key) => (key === "number" ? "n" : key)).join(" ");
  const classes = (kind) => (kindly(kind) ? { class: kindly(kind) } : {});

  /* columns: [heading, row -> text or number or node, {number: bool, cut: bool, name: bool}]; the first is the row's
     heading, which is a name unless it is said to be cut. */
  function table(given, rows, caption) {
    const body = el("tbody");
    const columns = given.map(([heading, value, kind = {}], i) => [heading, value, i || kind.cut ? kind : { ...kind, name: true }]);
    const heads = columns.map(([heading, , kind]) =>
      el("th", { scope: "col", ...classes(kind) }, el("button", { type: "button" }, named(heading))));
    const fill = (ordered) => body.replaceChildren(...ordered.map((row) => el("tr", {}, ...columns.map(
      ([, value, kind], i) => {
        const found = value(row);
        const shown = kind.show ? kind.show(found, row) : found;
        const attributes = classes(kind);
        const content = shown instanceof Node ? shown : kind.number ? String(shown ?? "") : named(shown ?? "");
        return i === 0 ? el("th", { scope: "row", ...attributes }, content) : el("td", attributes, content);
      }))));
    heads.forEach((head, i) => head.firstChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      const value = columns[i][1];
      const empty = (v) => !known(v) || v === "";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      fill([...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (empty(x) || empty(y)) return empty(x) - empty(y);
        const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
        return down ? order : -order;
      }));
    }));
    fill(rows);
    return el("table", {}, ...(caption ? [el("caption", {}, caption)] : []), el("thead", {}, el("tr", {}, ...heads)), body);
  }

  function put(id, ...nodes) { $(id).replaceChildren(...nodes); }

  function scrolled(content, label) {
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, content);
  }

  /* The table behind a chart is made when it is opened: most never are. */
  function behind(id, make) {
    const details = $(`${id}-details`);
    const fill = () => { if (details.open) put(`${id}-table`, scrolled(make(), details.firstChild.textContent)); };
    details.ontoggle = fill;
    fill();
  }

  // -- charts --------------------------------------------------------------------------------------------------

  const charts = new Map();
  const tip = $("tip");

  function tooltip(_, event, __, value) {
    if (!value || typeof value !== "object" || event.type === "pointerout") { tip.hidden = true; return; }
    tip.replaceChildren(...Object.entries(value).map(([name, text]) =>
      el("div", {}, el("span", {}, `${name} `), named(text))));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, window.innerWidth - width - 8);
    const top = event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 12 : event.clientY + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }

  /* A text in lines of so many letters, for the title of an axis, which does not wrap by itself. */
  function lines(text, letters) {
    const made = [""];
    for (const word of text.split(" ")) {
      const last = made[made.length - 1];
      if (last && last.length + word.length >= letters) made.push(word);
      else made[made.length - 1] = last ? `${last} ${word}` : word;
    }
    return made;
  }

  /* signals: values by name, or a function of the width that gives them. natural: as wide as it wants to be. */
  function chart(id, kind, rows, { signals = {}, natural = false, axes = {} } = {}) {
    charts.set(id, { ...charts.get(id), kind, rows, signals, natural, axes, width: 0 });
    draw(id);
  }

  async function draw(id) {
    const wanted = charts.get(id);
    const box = $(id);
    const width = Math.floor(box.clientWidth);
    if (!width || wanted.width === width) return;
    wanted.width = width;
    if (!wanted.rows.length) {
      if (box.view) box.view.finalize();
      box.view = null;
      box.replaceChildren(el("p", { class: "soft" }, "Nothing to draw here."));
      box.dataset.drawn = "nothing";
      return;
    }
    const spec = structuredClone(data.specs[wanted.kind]);
    spec.data.find((source) => source.name === "rows").values = wanted.rows;
    const signals = typeof wanted.signals === "function" ? wanted.signals(width) : wanted.signals;
    const values = { names: Math.round(Math.min(280, 0.42 * width)), ...signals };
    for (const signal of spec.signals || []) if (signal.name in values) signal.value = values[signal.name];
    for (const axis of spec.axes || []) {
      if (axis.scale in wanted.axes && axis.title) axis.title = axis.scale === "x" ? lines(wanted.axes.x, width / 9) : wanted.axes[axis.scale];
    }
    const room = Math.floor(values.names / 5.2);
    for (const axis of spec.axes || []) {
      // A name that is cut loses what tells it from others: two lines of it, broken where its words are.
      if (axis.labelLimit?.signal !== "names" || !wanted.rows.some((row) => String(row.name).length > room)) continue;
      const head = `slice(datum.label, 0, ${room})`;
      const at = `max(lastindexof(${head}, "_"), lastindexof(${head}, ":"), lastindexof(${head}, " "))`;
      const broken = `length(datum.label) > ${room} && ${at} > 0`;
      const text = `${broken} ? [slice(datum.label, 0, ${at} + 1), slice(datum.label, ${at} + 1)] : datum.label`;
      axis.encode = { labels: { update: { text: { signal: text }, dy: { signal: `${broken} ? -5 : 0` },
        fontSize: { value: 9 }, lineHeight: { value: 10 } } } };
      const step = spec.signals?.find((signal) => signal.name === "y_step");
      if (step) step.value = 25;
    }
    if (!wanted.natural) {
      spec.width = width;
      spec.autosize = { type: "fit-x", contains: "padding" };
    }
    const made = await vegaEmbed(el("div"), spec, {
      mode: "vega", renderer: "svg", ast: true, actions: false, defaultStyle: false, hover: false, tooltip,
    });
    // A later choice may have overtaken this one while it was drawn.
    if (charts.get(id) !== wanted || wanted.width !== width) { made.view.finalize(); return; }
    if (box.view) box.view.finalize();
    box.view = made.view;
    box.replaceChildren(made.view.container());
    box.dataset.drawn = wanted.kind;
  }

  let resizing = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => charts.forEach((_, id) => draw(id)), 150);
  });

  // -- sections ------------------------------------------------------------------------------------------------

  const which = (entry) => (entry.model ? `${entry.matrix}, ${entry.model}` : entry.matrix);

  /* A chart with nothing to show is left out with its caption. */
  function some(id, kind, rows, more, make) {
    $(id).closest("figure").hidden = !rows.length;
    if (!rows.length) return;
    chart(id, kind, rows, more);
    behind(id, make);
  }

  function yours(entries) {
    const select = options($("yours-which"), entries.map((entry, i) => [i, entry.name]));
    select.closest(".controls").hidden = entries.length < 2;
    const percent = (row) => `${(100 * row.share).toFixed(1)} %`;
    function show() {
      const entry = entries[select.value];
      put("yours-facts", `${entry.name}: ${entry.facts}.`);
      put("yours-findings", entry.findings.length ? scrolled(table([["severity", (row) => row.severity],
        ["what was found", (row) => row.message, { cut: true }],
        ["such as row", (row) => row.rows.join(", "), { cut: true }]], entry.findings), "Findings")
        : el("p", {}, "No finding."));
      for (const [id, start] of [["yours-prompt", "words of the prompt"], ["yours-response", "words of the response"], ["yours-tokens", "tokens"], ["yours-turns", "turns"]]) {
        const drawn = entry.histograms.find((one) => one.axis.startsWith(start));
        some(id, "histogram", drawn ? drawn.rows : [], { axes: { x: drawn?.axis } },
          () => table([[drawn.axis, (row) => (row.high === row.low + 1 ? `${row.low}` : `${row.low} to ${row.high - 1}`)],
            ["rows", (row) => row.n, { number: true, show: (n) => number(n) }], ["share", (row) => row.share, { number: true, show: (_, row) => percent(row) }]], drawn.rows));
      }
      for (const [id, what, rows] of [["yours-languages", "language", entry.languages], ["yours-classes", "class", entry.classes]]) {
        some(id, "shares", rows, {}, () => table([[what, (row) => row.name],
          ["rows", (row) => row.n, { number: true, show: (n) => number(n) }], ["share", (row) => row.share, { number: true, show: (_, row) => percent(row) }]], rows));
      }
    }
    select.onchange = show;
    show();
  }

  function transfer(maps) {
    const select = options($("transfer-which"), maps.map((map, i) => [i, which(map)]));
    const only = $("transfer-source");
    const value = (map, key, i, j) => map[key] && map[key][i][j];
    function facts(map) {
      const seeds = map.seeds > 1 ? `, ${map.seeds} seeds` : "";
      put("transfer-facts", `${number(map.count)} cells (${map.sources.length} sources, ${map.targets.length} targets${seeds}), `
        + `metric ${map.metric}, gain over ${map.base}. ${share(map.helped)} of the cells off the diagonal are gains. `
        + `Colours end at ${signed(map.limit)} and ${signed(-map.limit)} pp. ${map.errors}${map.about ? ` ${map.about}` : ""}`);
    }
    function heat(map) {
      const chosen = only.value;
      const rows = [];
      map.sources.forEach((source, i) => map.targets.forEach((target, j) => {
        const gain = map.gain[i][j];
        if (gain === null || (chosen && source !== chosen)) return;
        const each = value(map, "each", i, j);
        const error = value(map, "error", i, j);
        rows.push({
          source, target, gain, shown: `${signed(gain, 2)} pp`, error: known(error) ? `${number(error)} pp` : "unknown",
          seeds: each ? each.map((g) => signed(g)).join(", ") : "1", source_order: i, target_order: j,
          written: map.targets.length <= 22 ? signed(gain, Math.abs(gain) < 9.95 ? 1 : 0).replace("+", "") : "",
        });
      }));
      const side = (width) => Math.max(9, Math.min(40, Math.floor((width - 200) / map.targets.length)));
      chart("transfer-plot", "heatmap", rows, {
        natural: true, signals: (width) => ({ limit: map.limit, x_step: side(width), y_step: side(width) }),
      });
      const shown = map.sources.map((source, i) => ({ source, i })).filter(({ source }) => !chosen || source === chosen);
      behind("transfer-plot", () => table([["tuned on", (row) => row.source],
        ...map.targets.map((target, j) => [target, (row) => map.gain[row.i][j], { number: true, name: true,
          show: (g, row) => `${signed(g)}${known(value(map, "error", row.i, j)) ? ` \u00b1 ${number(map.error[row.i][j], 2)}` : ""}` }]),
      ], shown, "Gain in pp with its standard error where known; one column per target"));
    }
    function extremes(map) {
      const rows = map.extremes;
      const columns = [["tuned on", (row) => row.source], ["scored on", (row) => `${row.target}${row.one_answer ? " *" : ""}`, { name: true }],
        ["gain, pp", (row) => row.gain, { number: true, show: (g) => signed(g) }],
        ...(rows.some((row) => known(row.standard_error)) ? [["s.e.", (row) => row.standard_error, { number: true, show: (e) => (known(e) ? e.toFixed(1) : "") }]] : []),
        ...(map.seeds > 1 ? [["seeds", (row) => row.seeds, { number: true }]] : [])];
      put("transfer-best", table(columns, rows.filter((row) => row.gain > 0)));
      put("transfer-worst", table(columns, rows.filter((row) => row.gain < 0)));
    }
    function show() {
      const map = maps[select.value];
      names(only, map.sources, map.own, [["", "all sources"]]);
      facts(map);
      heat(map);
      extremes(map);
    }
    select.onchange = show;
    only.onchange = () => heat(maps[select.value]);
    show();
  }

  function effects(found) {
    if (found.sources.length) ofSources(found.sources);
    if (found.shifts.length) shifts(found.shifts);
  }

  const DIGITS = { q: 3, score: 3, base_score: 3, correlation: 2, agreement: 2, shift: 2, chance: 2 };
  /* Points, shares and tokens with one digit behind the point, whole numbers without. */
  function digits(name, title, values) {
    if (name === "standard_error") return title.includes("0 to 1") ? 2 : 1;
    return DIGITS[name] ?? (values.every(Number.isInteger) && !/\((pp|%|tokens)\)/.test(title) ? 0 : ["n", "seeds"].includes(name) ? 0 : 1);
  }

  /* Tables whose columns Python chose: a column with any number is numeric. */
  function ofSources(found) {
    const select = options($("effects-source"), found.map((entry, i) => [i, entry.source]));
    function show() {
      const entry = found[select.value];
      put("effects-sentence", entry.sentence);
      put("effects-tables", ...entry.tables.map(({ title, head, rows }) => el("div", {}, el("h3", {}, title), table(
        head.map((name, i) => {
          const values = rows.map((row) => row[i]).filter((value) => typeof value === "number");
          const shown = digits(name, title, values);
          return [name === "standard_error" ? "s.e." : name.replaceAll("_", " "), (row) => row[i], values.length
            ? { number: true, show: (v) => (known(v) ? v.toLocaleString("en", { minimumFractionDigits: shown, maximumFractionDigits: shown }).replace("-", MINUS) : "") } : { name: true }];
        }), rows))), ...(entry.notes.length ? [el("div", {}, ...entry.notes.map((note) => el("p", { class: "soft" }, note)))] : []));
    }
    select.onchange = show;
    show();
  }

  function shifts(found) {
    const select = options($("effects-which"), found.map((entry, i) => [i, which(entry)]));
    function one(id, rows, key, axis, digits) {
      $(`${id}-block`).hidden = !rows.length;
      if (!rows.length) return;
      chart(id, "bars", rows.map((row, order) => ({
        name: `${row.source} \u2192 ${row.target}`, value: row[key], shown: number(row[key], digits), order,
      })), { axes: { x: axis } });
      behind(id, () => table([["tuned on", (row) => row.source], ["scored on", (row) => row.target, { name: true }],
        [axis, (row) => row[key], { number: true, show: (v) => number(v, digits) }],
        ["seeds", (row) => row.seeds, { number: true }]], rows));
    }
    function show() {
      const entry = found[select.value];
      put("effects-facts", `${number(entry.cells)} cells, means over seeds; the largest of each target are shown.`);
      one("effects-labels", entry.label_shift, "label_shift", "share of predictions that moved", 2);
      one("effects-lengths", entry.length_shift, "length_shift", "tokens", 3);
    }
    select.onchange = show;
    show();
  }

  function latent(found) {
    const select = options($("latent-which"), found.map((entry, i) => [i, which(entry)]));
    function show() {
      const entry = found[select.value];
      put("latent-words", ...entry.words.map((text) => el("p", {}, text)));
      put("latent-drawn", entry.drawn.join(" "));
      chart("latent-plot", "biplot", entry.rows, { axes: { x: entry.x, y: entry.y } });
      behind("latent-plot", () => table([["dataset", (row) => row.name], ["side", (row) => row.side],
        [entry.x, (row) => row.across, { number: true, show: (v) => signed(v, 3) }],
        [entry.y, (row) => row.up, { number: true, show: (v) => signed(v, 3) }]], entry.rows,
      "Scores of sources and loadings of targets, before scaling for the map"));
      put("latent-factors", ...entry.factors.flatMap((factor) => [el("h3", {}, factor.name),
        ...factor.lines.map((line) => el("p", { class: "soft" }, line))]));
    }
    select.onchange = show;
    show();
  }

  const METRICS = {
    spearman: "Spearman's rank correlation", pairwise_accuracy: "pairs in the right order, share", ndcg: "NDCG",
    regret_at_1: "regret at 1, pp", regret_at_3: "regret at 3, pp", regret_at_5: "regret at 5, pp", rmse: "RMSE, pp",
    sign_accuracy: "right sign, share", coverage_90: "coverage of 90 % intervals, share",
  };

  /* The groups of a legend: those that are drawn, in their fixed order. */
  const GROUPS = data.specs.intervals.scales.find((scale) => scale.name === "color").domain;
  const used = (some) => GROUPS.filter((group) => some.includes(group));

  function quality(found) {
    const runs = found.evaluations;
    const select = options($("quality-which"), runs.map((run, i) => [i, `${run.protocol}${run.leaky ? " (leaks)" : ""}`]));
    const named = (key) => METRICS[key].replace(/pp$/, found.unit);
    const metric = options($("quality-metric"), Object.keys(METRICS).filter((key) => key in runs[0].model).map((key) => [key, named(key)]));
    const entries = (run) => [["this predictor", run.model, "predictor"],
      ...Object.entries(run.baselines).map(([name, found]) => [name, found, "baseline"]),
      ...(run.ceiling ? [[`ceiling (${run.ceiling_kind})`, run.ceiling, "ceiling"]] : [])];
    function facts(run) {
      const parts = [`On ${found.matrix} (${found.models}): ${number(run.cells)} cells, ${run.targets} targets, ${number(run.candidates)} sources ranked at a time. `
        + `Kept together: ${run.groups}.`];
      if (run.advantage) {
        parts.push(`Spearman minus that of the best baseline, ${run.advantage.baseline}: ${signed(run.advantage.value, 2)} `
          + `[${signed(run.advantage.low, 2)}, ${signed(run.advantage.high, 2)}].`);
      }
      parts.push(`90 % intervals were ${number(run.interval_width)} ${found.unit} wide in this cross-validation; those of the fitted predictor, `
        + `for measured sources on unseen targets, are ${number(found.fitted_width)} ${found.unit} wide.`);
      if (run.noise) parts.push(`Seeds vary with a standard deviation of ${number(run.noise.standard_deviation, 2)} ${found.unit}${run.noise.attainable == null ? "" : `; no prediction can be expected to correlate above ${number(run.noise.attainable, 2)}`}.`);
      put("quality-facts", parts.join(" "));
    }
    function show() {
      const run = runs[select.value];
      const key = metric.value;
      const rows = entries(run).filter(([, values]) => known(values[key]?.value));
      facts(run);
      chart("quality-plot", "intervals", rows.map(([name, values, group], order) => ({
        name, group, order, value: values[key].value, low: values[key].low ?? values[key].value,
        high: values[key].high ?? values[key].value, shown: number(values[key].value),
      })), { axes: { x: named(key) }, signals: { groups: used(rows.map((row) => row[2])) } });
      const range = (m) => (known(m?.value) ? `${number(m.value)}${known(m.low) ? ` [${number(m.low)}, ${number(m.high)}]` : ""}` : "");
      behind("quality-plot", () => table([["predicted by", (row) => row[0]], ...Object.keys(METRICS).map((name) =>
        [named(name), (row) => row[1][name]?.value, { number: true, show: (_, row) => range(row[1][name]) }])],
      entries(run), "Value [95 % interval]"));
    }
    select.onchange = metric.onchange = show;
    show();
  }

  function reasons(found) {
    put("reasons-words", `What the predictor uses, over ${number(found.pairs)} pairs of its own matrix. A SHAP value is what one `
      + `trait adds to one prediction, in ${found.unit}.`);
    chart("reasons-families", "bars", found.families.map(([name, value], order) => ({
      name, value, shown: number(value), order,
    })), { axes: { x: `mean |SHAP|, ${found.unit}` } });
    behind("reasons-families", () => table([["family", (row) => row[0]],
      [`mean |SHAP|, ${found.unit}`, (row) => row[1], { number: true, show: (v) => number(v) }]], found.families));
    chart("reasons-traits", "swarm", found.traits.flatMap((trait, order) => trait.shap.map((value, i) => ({
      name: trait.name, value, level: trait.level[i] ?? 0.5, offset: trait.offset[i], order,
    }))), { axes: { x: `shap, ${found.unit}` } });
    behind("reasons-traits", () => table([["trait", (row) => row.name], ["family", (row) => row.family],
      [`mean |SHAP|, ${found.unit}`, (row) => row.mean, { number: true, show: (v) => number(v) }],
      ["lowest", (row) => Math.min(...row.shap), { number: true, show: (v) => signed(v, 2) }],
      ["highest", (row) => Math.max(...row.shap), { number: true, show: (v) => signed(v, 2) }]], found.traits));
  }

  /* What an object holds under a name, which may be one that every object inherits, such as constructor. */
  function own(object, name, otherwise) {
    return Object.hasOwn(object, name) ? object[name] : otherwise;
  }

  function ranking(found) {
    const targets = Object.keys(found.targets);
    const select = names($("ranking-target"), targets, found.own);
    if (known(found.first)) select.value = found.first;
    const count = options($("ranking-count"), [["20", "20 best"], ["", "all"]]);
    function show() {
      const target = select.value;
      const measured = own(found.measured, target, {});
      const ranked = found.targets[target];
      const shown = count.value ? ranked.slice(0, Number(count.value)) : ranked;
      const novel = ranked.filter((row) => row[3]).length;
      const same = own(found.same, target, []).filter((name) => ranked.some((row) => row[0] === name));
      const rows = shown.flatMap(([name, gain, , outside, low, high], order) => [
        { name, order, value: gain, low: low ?? gain, high: high ?? gain, shown: `${signed(gain)} ${found.unit}`,
          group: outside ? "extrapolation" : "predicted" },
        ...(Object.hasOwn(measured, name) ? [{ name, order, value: measured[name], low: measured[name], high: measured[name],
          shown: `${signed(measured[name])} ${found.unit}`, group: "measured" }] : []),
      ]);
      const diamonds = ranked.filter(([name]) => Object.hasOwn(measured, name)).length;
      put("ranking-facts", `${ranked.length} sources, predicted from the matrix ${found.learnt}. `
        + (diamonds ? `Diamonds: ${diamonds} ${found.noun} measured in ${found.measured_in}, over ${found.measured_base}. `
          : `No source was measured on this target in ${found.measured_in}. `)
        + (novel ? `${novel} of these pairs have a dataset unlike those in training: they are extrapolations. ` : "")
        + (same.length ? `The same rows as the target under another name, so no useful source: ${same.join(", ")}.` : ""));
      // Where no order is claimed, equal bars would only look like one.
      const drawn = found.silent ? rows.filter((row) => row.group === "measured") : rows;
      some("ranking-plot", "intervals", drawn, { axes: { x: found.axis }, signals: { groups: used(drawn.map((row) => row.group)) } }, () => {});
      put("ranking-list", ...(found.silent ? [el("p", {}, "By likeness and mean gain elsewhere: ", ...shown.flatMap(([name], i) => [i ? ", " : "", named(name)]), ".")] : []));
      behind("ranking-plot", () => table([["source", (row) => row[0]],
        [`predicted, ${found.unit}`, (row) => row[1], { number: true, show: (v) => signed(v) }],
        ["low", (row) => row[4], { number: true, show: (v) => signed(v) }],
        ["high", (row) => row[5], { number: true, show: (v) => signed(v) }],
        ...(ranked.some((row) => known(row[2])) ? [["chance of harm", (row) => row[2], { number: true, show: share }]] : []),
        [`measured, ${found.unit}`, (row) => measured[row[0]] ?? null, { number: true, show: (v) => signed(v) }],
        ["extrapolation", (row) => (row[3] ? "yes" : "")]], ranked, `Predicted: ${found.axis}. Measured in ${found.measured_in}, over ${found.measured_base}`));
    }
    select.onchange = count.onchange = show;
    show();
  }

  function explanations(found) {
    const select = options($("explanations-pair"), found.map((pair, i) => [i, `${pair.source} \u2192 ${pair.target}`]));
    function show() {
      const pair = found[select.value];
      put("explanations-words", pair.sentence.replace(/(^|[\s[(])-(?=\d)/g, `$1${MINUS}`));
      // Two bars are the base value and the same again: the sentence says it all.
      some("explanations-plot", "waterfall", pair.bars.length > 2 ? pair.bars : [], { axes: { x: pair.axis } }, () => {});
      behind("explanations-plot", () => table([["trait", (row) => row[1], { cut: true }], ["side", (row) => row[0]],
        ["family", (row) => row[2]], ["value", (row) => row[3], { number: true, show: (v) => number(v) }],
        [`SHAP, ${pair.unit}`, (row) => row[4], { number: true, show: (v) => signed(v, 2) }],
        ["spread", (row) => row[5], { number: true, show: (v) => number(v, 2) }],
        ["same sign", (row) => row[6], { number: true, show: share }]], pair.contributions));
    }
    select.onchange = show;
    show();
  }

  function datasets(found) {
    const all = found.datasets;
    const at = new Map(all.map((entry) => [entry.name, entry]));
    const filter = $("datasets-filter");
    function list() {
      const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const text = (d) => [d.name, d.task, d.family, d.language].filter(known).join(" ").toLowerCase();
      const rows = all.filter((d) => words.every((word) => text(d).includes(word)));
      put("datasets-count", `${rows.length} of ${all.length} datasets.`
        + (found.left_out ? ` The warehouse has ${found.left_out} more.` : ""));
      put("datasets-list", table([["name", (d) => d.name], ["task", (d) => d.task], ["family", (d) => d.family],
        ["rows", (d) => d.rows, { number: true, show: (v) => number(v) }],
        ["prompt words", (d) => d.prompt_words, { number: true, show: (v) => number(v) }],
        ["response words", (d) => d.response_words, { number: true, show: (v) => number(v) }],
        ["labels", (d) => d.labels.length + d.more_labels, { number: true, show: (v) => (v ? number(v) : "") }],
        ["origin", (d) => (d.yours ? "yours" : "shipped")]], rows));
    }
    filter.oninput = list;
    list();
    compare(found, at);
  }

  function compare(found, at) {
    const all = found.datasets;
    const [a, b] = ["compare-a", "compare-b"].map($);
    const own = found.datasets.filter((entry) => entry.yours).map((entry) => entry.name);
    [a, b].forEach((select, i) => {
      names(select, at.keys(), own);
      select.value = found.pair[i];
    });
    const family = options($("traits-family"), [["", "all families"],
      ...[...new Set(found.traits.map((trait) => trait[1]))].map((name) => [name, name])]);
    const filter = $("traits-filter");
    function card(entry) {
      const facts = [entry.task, `${number(entry.rows)} rows`, entry.family && `family ${entry.family}`,
        entry.language && `language ${entry.language}`, entry.licence && `licence ${entry.licence}`].filter(Boolean).join(", ");
      const labels = entry.labels.length ? [el("p", {}, "Labels: ", ...entry.labels.flatMap(([label, n], i) => [
        i ? ", " : "", named(label), ` ${share(n / entry.rows)}`]), entry.more_labels ? `, and ${entry.more_labels} more` : "")] : [];
      const unusual = entry.unusual.length
        ? [el("p", { class: "soft" }, "Unusual traits:"), el("ul", {}, ...entry.unusual.map(([trait, words]) =>
          el("li", {}, el("code", {}, trait), ` ${words}`)))] : [];
      return el("div", {}, el("h3", {}, named(entry.name)), el("p", {}, facts), ...labels,
        ...entry.warnings.map((text) => el("p", { class: "note" }, text)), ...unusual);
    }
    function traits(first, second) {
      const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      return found.traits.map(([trait, family, unit, meaning], i) => ({
        trait, family, unit, meaning, a: first.values[i], b: second.values[i], pa: first.percentiles[i], pb: second.percentiles[i],
      })).filter((row) => (!family.value || row.family === family.value) && (known(row.a) || known(row.b))
        && words.every((word) => `${row.trait} ${row.family} ${row.meaning}`.toLowerCase().includes(word)));
    }
    /* The first rows of which none goes with one before it over all datasets: the mean says what the median says. */
    function different(rows, most) {
      const chosen = [];
      for (const row of rows) {
        if (chosen.length === most) break;
        const i = at_trait.get(row.trait);
        if (chosen.every((other) => Math.abs(correlation(i, at_trait.get(other.trait))) < 0.8)) chosen.push(row);
      }
      return chosen;
    }
    const at_trait = new Map(found.traits.map(([trait], i) => [trait, i]));
    function correlation(i, j) {
      const pairs = all.map((entry) => [entry.percentiles[i], entry.percentiles[j]]).filter(([x, y]) => known(x) && known(y));
      const [mx, my] = [0, 1].map((k) => pairs.reduce((sum, pair) => sum + pair[k], 0) / pairs.length);
      const sum = (f) => pairs.reduce((total, [x, y]) => total + f(x - mx, y - my), 0);
      return sum((x, y) => x * y) / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y)) || 0;
    }
    const apart = (row) => (known(row.pa) && known(row.pb) ? Math.abs(row.pa - row.pb) : -1);
    function show() {
      const [first, second] = [at.get(a.value), at.get(b.value)];
      const rows = traits(first, second).sort((x, y) => apart(y) - apart(x));
      put("compare-facts", card(first), ...(first === second ? [] : [card(second)]));
      put("traits-count", `${rows.length} of ${found.traits.length} traits, largest differences first.`);
      const columns = [["trait", (row) => row.trait, { cut: true }],
        [`${first.name}`, (row) => row.a, { number: true, name: true, show: (v) => number(v) }],
        [`${second.name}`, (row) => row.b, { number: true, name: true, show: (v) => number(v) }],
        ["percentiles", apart, { number: true, show: (_, row) => `${row.pa ?? "?"} | ${row.pb ?? "?"}` }],
        ["unit", (row) => row.unit], ["family", (row) => row.family], ["meaning", (row) => row.meaning, { cut: true }]];
      put("traits-table", table(columns, rows));
      const top = different(rows.filter((row) => apart(row) >= 0), 20);
      const dot = (row, order, entry, value, percentile, dataset_order) => ({
        name: row.trait, dataset: entry.name, percentile, shown: `${number(value)} ${row.unit}`, order, dataset_order });
      chart("compare-plot", "percentiles", top.flatMap((row, order) => [dot(row, order, first, row.a, row.pa, 0),
        ...(first === second ? [] : [dot(row, order, second, row.b, row.pb, 1)])]), { axes: { x: "percentile among the reference datasets" } });
      behind("compare-plot", () => table(columns, top));
    }
    a.onchange = b.onchange = family.onchange = filter.oninput = show;
    show();
  }

  const sections = { yours, transfer, effects, latent, quality, reasons, ranking, explanations, datasets };
  for (const [key, fill] of Object.entries(sections)) if (data.sections[key]) fill(data.sections[key]);
  tellChoices();
  for (const kind of ["change", "input"]) document.addEventListener(kind, tellChoices);
  document.documentElement.dataset.ready = "yes";
})();
