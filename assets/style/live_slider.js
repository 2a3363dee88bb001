// Streamlit's own slider reports when the hand rests; this one reports while it moves, at most every `pace` ms.
export default function ({ parentElement, data, setStateValue }) {
  const input = parentElement.querySelector('input');
  const button = parentElement.querySelector('button');
  if (input.dataset.ready) return;
  input.dataset.ready = 'yes';
  parentElement.host.closest('[data-testid=stLayoutWrapper]').classList.add('sticky-bar');
  Object.assign(input, { min: data.low, max: data.high, step: data.step, value: data.value });
  parentElement.querySelector('label span').textContent = data.label;
  input.setAttribute('aria-label', data.name);
  button.setAttribute('aria-label', data.sweep);

  let last = -Infinity, waiting = null, sweep = null, way = 1;
  const shown = (value) => data.stops.length ? data.stops[value] : value.toFixed(2);
  const show = () => {
    parentElement.querySelector('output').textContent = shown(Number(input.value));
    if (data.stops.length) input.setAttribute('aria-valuetext', shown(Number(input.value)));
  };
  const send = () => { last = performance.now(); waiting = null; setStateValue('moving', Number(input.value)); };
  const moved = () => {
    show();
    if (waiting === null) waiting = setTimeout(send, Math.max(0, data.pace - (performance.now() - last)));
  };
  const settled = () => setStateValue('settled', Number(input.value));
  const stop = () => {
    clearInterval(sweep);
    sweep = null;
    button.textContent = '▶';
    button.setAttribute('aria-pressed', 'false');
  };
  const step = () => {
    if (!input.isConnected) return stop();
    if (Number(input.value) >= data.high) way = -1;
    if (Number(input.value) <= data.low) way = 1;
    input.value = Number(input.value) + way * data.stride;
    moved();
  };
  input.oninput = () => { stop(); moved(); };
  input.onchange = settled;
  button.onclick = () => {
    if (sweep !== null) { stop(); settled(); return; }
    sweep = setInterval(step, data.beat);
    button.textContent = '❚❚';
    button.setAttribute('aria-pressed', 'true');
  };
  show();
  return () => { clearInterval(sweep); clearTimeout(waiting); };
}
