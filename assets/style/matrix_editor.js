// A heat map whose entries, rows or whole follow the hand; drawn here at once, told to the server at a pace.
const NEGATIVE = 0xb03f7e, POSITIVE = 0x408316; // as in figures/heatmaps.py, blue first
const LEAST_HEIGHT = 168, MOST_HEIGHT = 384, ROW = 18; // pixels
const FULL_TURN = 320; // pixels of a hand's way from one end of the slider to the other
const PATIENCE = 3000; // milliseconds to wait for a picture that does not come
const REST = 300; // milliseconds after which the wheel has settled

const numbers = text => new Float32Array(Uint8Array.from(atob(text), each => each.charCodeAt(0)).buffer);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const shown = value => {
  const size = Math.abs(value);
  return (size && size < 0.001 ? value.toExponential(1) : value.toFixed(size < 10 ? 4 : 2)).replace('-', '−');
};

function makeEditor(root, setStateValue) {
  const [canvas, marks, chosen, knob, slider, output, hover] = ['canvas', '.marks', '.chosen', '.knob',
    'input[type=range]', 'output', '#hover'].map(each => root.querySelector(each));
  const map = root.querySelector('.map'), [undo, undoAll] = [root.querySelector('#undo'), root.querySelector('#undo_all')];
  let data = { token: null }, base = null, scope = 'entry', row = 0, column = 0;
  let own = new Map(); // what the server has not answered to: place -> { amount, serial }, amount null where undone
  let known = new Map(); // its settled edits: place -> amount
  let serial = Date.now(), told = 0, toldAt = -Infinity, outbox = [], timer = null, frame = null, rest = null, grab = null;

  const placeOf = () => scope === 'all' ? 'all' : scope === 'row' ? `${row}` : `${row},${column}`;
  const knobs = () => {
    const all = new Map(known);
    own.forEach(({ amount }, place) => amount === null ? all.delete(place) : all.set(place, amount));
    return all;
  };
  // Factors of all, then of rows, then entries, which keep what they were set to: the order of the server.
  const at = (r, c, all = knobs()) => all.get(`${r},${c}`)
    ?? base[r * data.columns + c] * (all.get('all') ?? 1) * (all.get(`${r}`) ?? 1);
  const amount = () => knobs().get(placeOf()) ?? (scope === 'entry' ? at(row, column) : 1);
  const bounds = () => scope === 'entry' ? [-data.reach, data.reach] : data.factors;

  const box = (element, place) => {
    const [r, c] = place === 'all' ? [] : place.split(',').map(Number);
    const high = r === undefined ? 100 : 100 / data.rows, wide = c === undefined ? 100 : 100 / data.columns;
    Object.assign(element.style, { top: `${(r ?? 0) * high}%`, height: `${high}%`, left: `${(c ?? 0) * wide}%`, width: `${wide}%` });
  };
  const ink = value => // a pixel: alpha, blue, green, red
    Math.round(255 * Math.min(1, Math.abs(value) / data.scale)) << 24 | (value < 0 ? NEGATIVE : POSITIVE);
  const paint = () => {
    frame = null;
    const all = knobs(), image = new ImageData(data.columns, data.rows), pixels = new Uint32Array(image.data.buffer);
    for (let r = 0, place = 0; r < data.rows; r++) {
      const factor = (all.get('all') ?? 1) * (all.get(`${r}`) ?? 1);
      for (let c = 0; c < data.columns; c++, place++) pixels[place] = ink(base[place] * factor);
    }
    all.forEach((each, place) => {
      const [r, c] = place.split(',').map(Number);
      if (c !== undefined) pixels[r * data.columns + c] = ink(each);
    });
    canvas.getContext('2d').putImageData(image, 0, 0);
    const value = amount(), [low, high] = bounds();
    marks.replaceChildren(...[...all.keys()].map(place => {
      const mark = document.createElement('i');
      box(mark, place);
      return mark;
    }));
    box(chosen, placeOf());
    knob.style.left = scope === 'entry' ? `${100 * (column + 0.5) / data.columns}%` : '50%';
    knob.style.top = scope === 'all' ? '50%' : `${100 * (row + 0.5) / data.rows}%`;
    Object.assign(slider, { min: low, max: high, value });
    const what = scope === 'all' ? 'All entries' : scope === 'row' ? `Row ${row}` : `Row ${row}, column ${column}`;
    const before = base[row * data.columns + column];
    output.textContent = scope === 'entry' ? `${what}: ${shown(value)}` : `${what} × ${value.toFixed(2).replace('-', '−')}`;
    if (scope === 'entry' && value !== before) output.textContent += ` (trained ${shown(before)})`;
    slider.setAttribute('aria-valuetext', output.textContent);
    slider.setAttribute('aria-label', `${data.title}: ${what}`);
    undo.disabled = !all.has(placeOf());
    undoAll.disabled = data.total + own.size === 0;
  };
  const draw = () => { frame ??= requestAnimationFrame(paint); };

  const drawn = () => Number(document.querySelector('[data-grip]')?.dataset.grip ?? 0);
  const flush = () => {
    timer = null;
    if (!outbox.length) return;
    const now = performance.now(), waited = now - toldAt;
    if (waited < data.pace || (drawn() < told && waited < PATIENCE)) {
      timer = setTimeout(flush, Math.max(15, data.pace - waited));
      return;
    }
    const report = outbox.shift();
    told = report.serial;
    toldAt = now;
    setStateValue('grip', report);
    if (outbox.length) timer = setTimeout(flush, data.pace);
  };
  const tell = act => {
    const report = { token: data.token, act, scope, row, column, amount: act.startsWith('undo') ? 0 : amount(), serial: ++serial };
    const last = outbox.at(-1);
    if (last?.act === 'moving' && act !== 'undo_all') outbox.pop();
    outbox.push(report);
    timer ??= setTimeout(flush, 0);
    return report.serial;
  };
  const move = value => {
    const [low, high] = bounds(), place = placeOf();
    own.set(place, { amount: clamp(value, low, high), serial: Infinity });
    tell('moving');
    draw();
  };
  const settle = () => {
    clearTimeout(rest);
    rest = null;
    const held = own.get(placeOf());
    if (held) held.serial = tell('settled');
    draw();
  };
  const finish = () => { if (rest !== null) settle(); };
  const soon = () => { clearTimeout(rest); rest = setTimeout(settle, REST); };
  const select = (r, c) => {
    finish();
    row = clamp(r, 0, data.rows - 1);
    column = clamp(c, 0, data.columns - 1);
    draw();
  };
  const under = event => {
    const area = canvas.getBoundingClientRect();
    return [[event.clientY - area.top, area.height, data.rows], [event.clientX - area.left, area.width, data.columns]]
      .map(([way, size, count]) => clamp(Math.floor(way / size * count), 0, count - 1));
  };

  const seize = (element, event) => {
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    grab = { y: event.clientY, start: amount(), moved: false };
  };
  const pull = event => {
    if (!grab) return;
    const [low, high] = bounds(), way = grab.y - event.clientY;
    if (!grab.moved && Math.abs(way) < 3) return;
    grab.moved = true;
    move(grab.start + way / FULL_TURN * (high - low));
  };
  const release = () => {
    const moved = grab?.moved;
    grab = null;
    if (moved) settle();
  };
  canvas.onpointerdown = event => {
    if (event.pointerType === 'touch' || event.button) return;
    canvas.focus({ preventScroll: true });
    select(...under(event));
    seize(canvas, event);
  };
  canvas.onclick = event => { if (!grab && event.pointerType === 'touch') select(...under(event)); };
  canvas.onpointermove = event => {
    pull(event);
    const [r, c] = under(event);
    hover.textContent = `under the pointer: row ${r}, column ${c}: ${shown(at(r, c))}`;
  };
  canvas.onpointerleave = () => { hover.textContent = ''; };
  knob.onpointerdown = event => { if (!event.button) seize(knob, event); };
  knob.onpointermove = pull;
  [canvas, knob].forEach(each => { each.onpointerup = each.onpointercancel = release; });
  map.addEventListener('wheel', event => {
    if (!event.altKey && !event.shiftKey) return;
    event.preventDefault();
    const [low, high] = bounds();
    move(amount() - Math.sign(event.deltaY || event.deltaX) * (high - low) / 100);
    soon();
  }, { passive: false });
  canvas.onkeydown = event => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const stride = event.shiftKey ? 10 : 1;
    select(row + stride * way[0], column + stride * way[1]);
  };
  slider.oninput = () => move(Number(slider.value));
  slider.onchange = settle;
  slider.onkeydown = event => {
    const way = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!way) return;
    event.preventDefault();
    const [low, high] = bounds();
    move(amount() + way * (high - low) / 200);
    soon();
  };
  root.querySelectorAll('[name=scope]').forEach(each => { each.onchange = () => { finish(); scope = each.value; draw(); }; });
  undo.onclick = () => { finish(); own.set(placeOf(), { amount: null, serial: tell('undo') }); draw(); };
  undoAll.onclick = () => {
    finish();
    const last = tell('undo_all');
    [...knobs().keys()].forEach(place => own.set(place, { amount: null, serial: last }));
    draw();
  };

  return {
    renew: next => {
      const other = next.token !== data.token;
      data = next;
      known = new Map(data.edits.map(([r, c, value]) => [r === null ? 'all' : c === null ? `${r}` : `${r},${c}`, value]));
      if (other) {
        base = numbers(data.values);
        own = new Map();
        outbox = [];
        grab = null;
        const largest = base.reduce((best, each, at) => Math.abs(each) > Math.abs(base[best]) ? at : best, 0);
        if (canvas.width !== data.columns || canvas.height !== data.rows) { // else the hand stays where it was
          [row, column] = [Math.floor(largest / data.columns), largest % data.columns];
        }
        Object.assign(canvas, { width: data.columns, height: data.rows });
        const height = clamp(ROW * data.rows, LEAST_HEIGHT, MOST_HEIGHT);
        map.style.height = `${height}px`;
        canvas.classList.toggle('enlarged', data.rows <= height);
        canvas.setAttribute('aria-label', `${data.title}, ${data.rows} by ${data.columns}: arrow keys choose an entry`);
        root.querySelector('#low').textContent = shown(-data.scale);
        root.querySelector('#high').textContent = shown(data.scale);
      }
      own.forEach((each, place) => { if (each.serial <= data.seen) own.delete(place); });
      draw();
    },
    stop: () => { if (!root.isConnected) [timer, rest].forEach(clearTimeout); },
  };
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector('.editor');
  root.editor ??= makeEditor(root, setStateValue);
  root.editor.renew(data);
  return root.editor.stop;
}
