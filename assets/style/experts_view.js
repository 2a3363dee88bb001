// An attention head as a mixture of experts. Everything follows the pointer here; only choices are reported.
const PARTS = [['routing', 'Routing'], ['expert', 'Experts'], ['change', 'Both']];
const VIEWS = [['before', 'Before'], ['after', 'After'], ['difference', 'Difference']];
const UNMOVED = ['frozen', 'head']; // runs without any update
const FAINTEST = 0.0005; // the least difference of gates that may have full colour: less is rounding
const STRONGEST = 0.88; // opacity of full colour over a picture
const FEW_HEADS = 6; // two maps of so many fit beside each other on a phone
const NAMED = 4; // gates that are listed

const floats = packed => {
  const text = atob(packed.float32), bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
  return new Float32Array(bytes.buffer);
};
const make = (parent, tag, name = '', text = '') => {
  const made = parent.appendChild(document.createElement(tag));
  if (name) made.className = name;
  made.textContent = text;
  return made;
};
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const raised = number => [...String(number)].map(each => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(each)]).join('');
const short = value => {
  if (value === 0) return '0';
  if (value >= 99.95) return value.toFixed(0);
  if (value >= 9.995) return value.toFixed(1);
  if (value >= 0.0995) return value.toFixed(2);
  if (value >= 0.000995) return value.toFixed(value >= 0.00995 ? 3 : 4);
  const power = Math.floor(Math.log10(value));
  return `${(value / 10 ** power).toFixed(0)}·10${raised(power)}`;
};
const percent = share => {
  const value = 100 * share;
  return value >= 9.95 ? value.toFixed(0) : value >= 0.095 ? value.toFixed(1) : value > 0 ? '<0.1' : '0';
};
const between = (value, low, high) => Math.min(Math.max(value, low), high);
const shades = (text, name) => getComputedStyle(text)[name].match(/[\d.]+/g).slice(0, 3).map(each => Number(each));

function makeLens(root) {
  const find = path => root.querySelector(path);
  const maps = find('.maps'), panels = find('.panels');
  let data, runs, count, report, built, given, query, chosen = null, waiting = null, pointed = null, frame = null;
  const sent = new Set();

  const patches = () => data.grid.length > 0;
  const idleAt = (run, layer) => UNMOVED.includes(run.series) || !data.adapted.includes(layer);
  const where = (layer, head) => `Layer ${layer + 1}, head ${head + 1}`;
  const measure = () => find('.measure :checked').value;
  const here = () => waiting ?? data;
  const markWidth = () => Math.max(1, count / 120);

  // The map of all heads.

  const buildMap = run => {
    const box = make(maps, 'div', `map ${run.series}`), title = make(box, 'h3');
    make(title, 'i');
    run.mapTitle = make(title, 'span');
    const grid = make(box, 'div', 'grid');
    grid.setAttribute('role', 'grid');
    run.grid = grid;
    run.cells = [];
    for (let layer = 0; layer < data.layers; layer++) {
      const row = make(grid, 'div');
      row.setAttribute('role', 'row');
      make(row, 'i', '', layer + 1).setAttribute('role', 'rowheader');
      for (let head = 0; head < data.heads; head++) {
        const cell = make(row, 'button', 'cell');
        cell.type = 'button';
        cell.setAttribute('role', 'gridcell');
        Object.assign(cell, { layer, head, place: layer * data.heads + head, run });
        run.cells.push(cell);
      }
    }
    const heads = make(grid, 'div');
    heads.setAttribute('role', 'row');
    make(heads, 'i').setAttribute('role', 'presentation');
    for (let head = 0; head < data.heads; head++) make(heads, 'i', '', head + 1).setAttribute('role', 'columnheader');
    run.told = make(box, 'p', 'told');
  };
  const values = (run, place) => PARTS.map(([part, name]) => [part, name.toLowerCase(), `${percent(run.map[part][place])} %`]);
  const describe = (run, cell) => {
    const told = idleAt(run, cell.layer) ? 'no update here' : values(run, cell.place).map(([, name, value]) => `${name} ${value}`).join(', ');
    return `${where(cell.layer, cell.head)}: ${told}`;
  };
  const paintMap = () => {
    const part = measure(), scale = data.mapScales[part], { layer, head } = here();
    write(find('.all .scale'), `full colour at ${percent(scale)} % of the head's output; shades go by square root`);
    for (const run of runs) {
      for (const cell of run.cells) {
        const idle = idleAt(run, cell.layer);
        const own = cell.layer === layer && cell.head === head;
        cell.classList.toggle('idle', idle);
        cell.classList.toggle('chosen', own);
        cell.classList.toggle('waiting', own && waiting !== null);
        cell.setAttribute('aria-selected', own);
        cell.tabIndex = own ? 0 : -1;
        cell.style.setProperty('--share', idle ? 0 : Math.sqrt(run.map[part][cell.place] / scale));
        cell.title = describe(run, cell);
        cell.setAttribute('aria-label', cell.title);
      }
    }
    paintPointed();
  };
  const paintPointed = () => {
    const { layer, head } = pointed ?? here(), part = measure();
    for (const run of runs) {
      run.told.replaceChildren();
      make(run.told, 'span', '', where(layer, head));
      if (idleAt(run, layer)) make(run.told, 'span', '', 'no update here');
      else for (const [each, name, value] of values(run, layer * data.heads + head)) make(run.told, each === part ? 'b' : 'span', '', `${name} ${value}`);
      for (const cell of run.cells) cell.classList.toggle('pointed', pointed !== null && cell.layer === layer && cell.head === head);
    }
  };
  const point = cell => {
    if (cell?.layer === pointed?.layer && cell?.head === pointed?.head) return;
    pointed = cell && { layer: cell.layer, head: cell.head };
    paintPointed();
  };
  maps.onpointerover = event => { const cell = event.target.closest('.cell'); if (cell) point(cell); };
  maps.onpointerleave = () => point(null);
  maps.addEventListener('focusin', event => { if (event.target.matches('.cell:focus-visible')) point(event.target); });
  maps.addEventListener('focusout', () => point(null));
  maps.onclick = event => {
    const cell = event.target.closest('.cell');
    if (!cell) return;
    const { layer, head } = cell;
    waiting = layer === data.layer && head === data.head ? null : { layer, head };
    report('cell', { layer, head });
    paintMap();
  };
  maps.onkeydown = event => {
    const cell = event.target.closest('.cell'), move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell || !move) return;
    event.preventDefault();
    const layer = between(cell.layer + move[0], 0, data.layers - 1), head = between(cell.head + move[1], 0, data.heads - 1);
    cell.run.cells[layer * data.heads + head].focus();
  };
  find('.measure').onchange = paintMap;

  // A panel a run.

  const buildView = (panel, kind, title) => {
    const box = make(panel, 'div', `view ${kind}`), caption = make(box, 'div', 'caption');
    make(caption, 'span', '', title);
    const view = { kind, title, tokens: [] };
    if (patches()) {
      const [down, across] = data.grid, chips = make(caption, 'span', 'chips');
      for (let token = 0; token < data.prefix; token++) {
        const chip = make(chips, 'span', 'chip', token ? '' : 'class');
        chip.token = token;
        chip.title = data.tokens[token].name;
        view.tokens.push(chip);
      }
      view.focus = make(box, 'div', 'tile');
      view.focus.style.cssText = `--across: ${across}; --down: ${down}; aspect-ratio: ${across} / ${down}`;
      view.image = make(view.focus, 'img');
      view.image.alt = '';
      view.canvas = Object.assign(make(view.focus, 'canvas'), { width: across, height: down });
      view.here = make(view.focus, 'div', 'here');
    } else {
      view.focus = make(box, 'div', 'line');
      view.focus.dir = data.rightToLeft ? 'rtl' : 'ltr';
      data.tokens.forEach((each, token) => {
        const piece = make(view.focus, 'span', `token${each.joined ? ' joined' : ''}${each.special ? ' special' : ''}`, each.shown);
        piece.dir = 'auto';
        piece.token = token;
        view.tokens.push(piece);
      });
      view.focus.onscroll = () => {
        for (const run of runs) for (const other of run.views) if (other.focus.scrollTop !== view.focus.scrollTop) other.focus.scrollTop = view.focus.scrollTop;
      };
    }
    view.focus.tabIndex = kind === 'after' ? 0 : -1;
    view.focus.setAttribute('role', 'application');
    view.focus.setAttribute('aria-roledescription', patches() ? 'patches' : 'tokens');
    return view;
  };
  const fact = (parent, name) => {
    const box = make(parent, 'div', 'fact');
    make(box, 'span', '', name);
    return make(box, 'b');
  };
  const bar = (parent, part, name) => {
    make(parent, 'span', '', name);
    const rail = make(parent, 'div', `rail ${part}`);
    return { fill: make(rail, 'i'), value: make(parent, 'b') };
  };
  const table = (parent, title, rows) => {
    const box = make(parent, 'div', 'table'), caption = make(box, 'p'), list = make(box, 'ol');
    make(caption, 'span', '', title);
    make(caption, 'span', '', 'before → after');
    return Array.from({ length: rows }, () => {
      const row = make(list, 'li');
      return { number: make(row, 'small'), name: make(row, 'bdi'), value: make(row, 'span') };
    });
  };
  const fillRow = (row, token, before, after) => {
    write(row.number, token + 1);
    write(row.name, data.tokens[token].name);
    row.value.replaceChildren(`${percent(before)} → `);
    make(row.value, 'b', '', `${percent(after)} %`);
  };
  const buildPanel = run => {
    const panel = make(make(panels, 'div', 'slot'), 'section', `panel ${run.series}`), title = make(panel, 'h3');
    make(title, 'i');
    run.panelTitle = make(title, 'span');
    panel.classList.add(patches() ? 'picture' : 'text');
    run.views = VIEWS.map(([kind, name]) => buildView(panel, kind, name));
    const strip = make(panel, 'div', 'strip');
    strip.innerHTML = `<svg viewBox="0 0 ${count} 1" preserveAspectRatio="none" aria-hidden="true"><path/><rect width="${markWidth()}" height="1"/></svg>`;
    strip.firstChild.classList.toggle('back', data.rightToLeft);
    run.strip = { path: strip.querySelector('path'), mark: strip.querySelector('rect') };
    const told = make(strip, 'p');
    make(told, 'span', '', 'shift of each expert');
    run.strip.value = make(told, 'span');
    const facts = make(panel, 'div', 'facts');
    run.facts = { effective: fact(facts, 'Effective experts'), kl: fact(facts, 'KL of the gates'), change: fact(facts, 'Change of output') };
    const bars = make(panel, 'div', 'bars');
    run.bars = { routing: bar(bars, 'routing', 'Routing part'), expert: bar(bars, 'expert', 'Expert part') };
    const tables = make(panel, 'div', 'tables');
    run.rows = table(tables, 'Largest gates', Math.min(NAMED, count));
    run.loadRows = table(tables, 'Largest load', run.loads.length);
  };
  const paintStill = () => {
    write(find('.where'), where(data.layer, data.head));
    for (const run of runs) {
      write(run.mapTitle, run.title);
      write(run.panelTitle, run.title);
      run.grid.setAttribute('aria-label', `${run.title}: all heads`);
      for (const view of run.views) if (view.image && view.image.getAttribute('src') !== data.picture) view.image.src = data.picture;
      const steps = Array.from(run.shifts, (shift, token) => `M${token + 0.06} 1V${1 - shift / data.shiftScale}H${token + 0.94}V1Z`);
      run.strip.path.setAttribute('d', steps.join(''));
      run.loads.forEach(([token, before, after], place) => fillRow(run.loadRows[place], token, before, after));
    }
  };

  // What follows the query.

  const rows = run => {
    const from = query * count, before = run.baseGates.subarray(from, from + count), after = run.gates.subarray(from, from + count);
    return { before, after, difference: after.map((gate, token) => gate - before[token]) };
  };
  const paintView = (view, gates, scale) => {
    const share = gate => Math.sqrt(between(Math.abs(gate) / scale, 0, 1)), signed = view.kind === 'difference';
    view.tokens.forEach((element, token) => {
      const shade = share(gates[token]).toFixed(2);
      if (element.shade !== shade) element.style.setProperty('--share', element.shade = shade);
      if (signed) element.classList.toggle('less', gates[token] < 0);
    });
    view.tokens[view.query]?.classList.remove('query');
    view.tokens[query]?.classList.add('query');
    view.query = query;
    view.focus.setAttribute('aria-label', `${view.title}: gates of ${data.tokens[query].name}. Arrow keys move, Enter chooses.`);
    if (!view.canvas) return;
    const { width, height } = view.canvas, context = view.canvas.getContext('2d'), pixels = context.createImageData(width, height);
    const [full, other] = [shades(view.canvas, 'color'), shades(view.canvas, 'caretColor')];
    for (let patch = 0; patch < width * height; patch++) {
      const gate = gates[data.prefix + patch];
      pixels.data.set([...(signed && gate < 0 ? other : full), 255 * STRONGEST * share(gate)], 4 * patch);
    }
    context.putImageData(pixels, 0, 0);
    const place = query - data.prefix;
    view.here.hidden = place < 0;
    view.here.style.left = `${100 * (place % width) / width}%`;
    view.here.style.top = `${100 * Math.floor(place / width) / height}%`;
  };
  const paintQuery = () => {
    frame = null;
    const all = runs.map(rows), top = Math.max(...all.flatMap(each => [...each.before, ...each.after]));
    const widest = Math.max(FAINTEST, ...all.flatMap(each => Array.from(each.difference, Math.abs)));
    write(find('.asked'), data.tokens[query].name);
    write(find('.number'), `token ${query + 1}`);
    write(find('.one .scale'), `full colour: gate ${percent(top)} %, difference ±${percent(widest)} points`);
    runs.forEach((run, place) => {
      const gates = all[place];
      run.views.forEach(view => paintView(view, gates[view.kind], view.kind === 'difference' ? widest : top));
      run.strip.mark.setAttribute('x', query + (1 - markWidth()) / 2);
      write(run.strip.value, `here ${short(run.shifts[query])}, at most ${short(Math.max(...run.shifts))}`);
      write(run.facts.effective, `${run.baseEffective[query].toFixed(1)} → ${run.effective[query].toFixed(1)}`);
      run.facts.kl.replaceChildren(short(run.kl[query]));
      make(run.facts.kl, 'small', '', ' nats');
      run.facts.change.replaceChildren(run.baseOutput[query] > 0 ? percent(run.change[query] / run.baseOutput[query]) : '–');
      make(run.facts.change, 'small', '', ' %');
      for (const part of ['routing', 'expert']) {
        run.bars[part].fill.style.setProperty('--share', run[part][query] / data.partScale);
        write(run.bars[part].value, short(run[part][query]));
      }
      const order = Array.from(gates.after.keys()).sort((one, other) => gates.after[other] - gates.after[one]);
      run.rows.forEach((row, rank) => fillRow(row, order[rank], gates.before[order[rank]], gates.after[order[rank]]));
    });
  };
  const ask = token => {
    if (token === query) return;
    query = token;
    frame ??= requestAnimationFrame(paintQuery);
  };
  const choose = token => {
    ask(token);
    if (token === chosen) return;
    chosen = token;
    sent.add(token);
    report('query', token);
  };

  const tokenAt = event => {
    const named = event.target.closest('.token, .chip');
    if (named) return named.token;
    const strip = event.target.closest('.strip svg'), tile = event.target.closest('.tile');
    const box = (strip ?? tile)?.getBoundingClientRect();
    if (!box) return null;
    const [down, across] = strip ? [1, count] : data.grid;
    const column = between(Math.floor((event.clientX - box.left) / box.width * across), 0, across - 1);
    const row = between(Math.floor((event.clientY - box.top) / box.height * down), 0, down - 1);
    if (strip) return data.rightToLeft ? count - 1 - column : column;
    return data.prefix + row * across + column;
  };
  const follow = event => {
    const token = tokenAt(event);
    if (token !== null) ask(token);
    else if (!event.target.closest('.view, .strip')) ask(chosen);
  };
  panels.onpointermove = panels.onpointerdown = follow;
  panels.onpointerleave = panels.onpointercancel = () => ask(chosen);
  panels.onclick = event => { const token = tokenAt(event); if (token !== null) choose(token); };

  const inText = (key, element) => {
    const forward = data.rightToLeft ? 'ArrowLeft' : 'ArrowRight', tokens = [...element.children];
    if (key === 'ArrowLeft' || key === 'ArrowRight') return query + (key === forward ? 1 : -1);
    const from = tokens[query], middle = from.offsetLeft + from.offsetWidth / 2, up = key === 'ArrowUp';
    const others = tokens.filter(each => up ? each.offsetTop < from.offsetTop - 8 : each.offsetTop > from.offsetTop + 8);
    if (!others.length) return query;
    const line = up ? Math.max(...others.map(each => each.offsetTop)) : Math.min(...others.map(each => each.offsetTop));
    const off = each => Math.abs(each.offsetLeft + each.offsetWidth / 2 - middle);
    return others.filter(each => Math.abs(each.offsetTop - line) < 8).reduce((one, other) => off(other) < off(one) ? other : one).token;
  };
  const inPatches = key => {
    const across = data.grid[1], place = query - data.prefix;
    if (key === 'ArrowLeft' || key === 'ArrowRight') return query + (key === 'ArrowRight' ? 1 : -1);
    if (place < 0) return key === 'ArrowDown' ? data.prefix : query;
    if (key === 'ArrowUp') return place < across ? Math.max(0, data.prefix - 1) : query - across;
    return place + across < count - data.prefix ? query + across : query;
  };
  panels.onkeydown = event => {
    const element = event.target.closest('.tile, .line');
    if (!element) return;
    if (event.key === 'Enter' || event.key === ' ') choose(query);
    else if (event.key === 'Escape') ask(chosen);
    else if (event.key.startsWith('Arrow')) ask(between(patches() ? inPatches(event.key) : inText(event.key, element), 0, count - 1));
    else return;
    event.preventDefault();
    if (!patches()) {
      const token = element.children[query], below = token.offsetTop + token.offsetHeight - element.clientHeight + 6;
      element.scrollTop = between(element.scrollTop, below, Math.max(below, token.offsetTop - 6));
    }
  };
  panels.addEventListener('focusout', () => ask(chosen));

  const decode = run => {
    for (const [name, value] of Object.entries(run)) if (value?.float32) run[name] = floats(value);
    for (const [part] of PARTS) run.map[part] = floats(run.map[part]);
    return run;
  };
  return {
    show(next, reportValue) {
      const before = runs, held = count;
      report = reportValue;
      data = next;
      count = data.tokens.length;
      runs = data.runs.map(each => decode(structuredClone(each)));
      const shape = JSON.stringify([data.tokens, data.grid, data.prefix, data.layers, data.heads, runs.map(each => [each.series, each.loads.length])]);
      if (waiting?.layer === data.layer && waiting?.head === data.head) waiting = null;
      if (chosen === null || held !== count || (data.query !== given && !sent.has(data.query))) query = chosen = data.query;
      if (data.query === chosen) sent.clear();
      given = data.query;
      if (shape === built) {
        const kept = ['mapTitle', 'grid', 'cells', 'told', 'panelTitle', 'views', 'strip', 'facts', 'bars', 'rows', 'loadRows'];
        runs.forEach((run, place) => {
          for (const name of kept) run[name] = before[place][name];
          for (const cell of run.cells) cell.run = run;
        });
      } else {
        built = shape;
        root.style.setProperty('--runs', runs.length);
        root.style.setProperty('--heads', data.heads);
        for (const [box, build] of [[maps, buildMap], [panels, buildPanel]]) {
          box.classList.toggle('three', runs.length === 3);
          box.classList.toggle('four', runs.length > 3);
          box.classList.toggle('few', data.heads <= FEW_HEADS);
          box.replaceChildren();
          runs.forEach(build);
        }
      }
      paintStill();
      paintMap();
      paintQuery();
    },
  };
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector('.lens');
  root.lens ??= makeLens(root);
  root.lens.show(data, setStateValue);
}
