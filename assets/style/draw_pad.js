// White chalk on black. Reports a small PNG when a stroke ends, and while it lasts at most every `pace` ms.
const CHALK = 0.11; // width of a stroke, as a share of the pad's side: what MNIST's digits have, drawn as large as usual

function makePad(canvas, state, button, data, setStateValue) {
  const context = canvas.getContext('2d');
  const small = Object.assign(document.createElement('canvas'), { width: data.side, height: data.side });
  let generation, inked, pen = null, from = null, last = -Infinity, waiting = null;

  const show = ink => { inked = ink; state.textContent = ink ? '(drawn)' : '(empty)'; };
  const stop = () => { clearTimeout(waiting); waiting = null; };
  const wipe = () => {
    stop();
    pen = null;
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    show(false);
  };
  const png = () => {
    const narrow = small.getContext('2d');
    narrow.imageSmoothingQuality = 'high';
    narrow.drawImage(canvas, 0, 0, small.width, small.height);
    return small.toDataURL('image/png');
  };
  const send = () => {
    stop();
    last = performance.now();
    setStateValue('drawing', inked ? { generation, png: png() } : null);
  };
  const place = event => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / canvas.clientWidth;
    return [(event.clientX - box.left - canvas.clientLeft) * scale, (event.clientY - box.top - canvas.clientTop) * scale];
  };
  const stroke = to => {
    Object.assign(context, { strokeStyle: '#fff', fillStyle: '#fff', lineWidth: CHALK * canvas.width });
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.beginPath();
    context.arc(...to, context.lineWidth / 2, 0, 2 * Math.PI);
    context.fill();
    from = to;
  };
  const begin = event => {
    if (pen !== null || event.button !== 0) return;
    pen = event.pointerId;
    canvas.setPointerCapture(pen);
    from = place(event);
    stroke(from);
    show(true);
    last = performance.now();
  };
  const move = event => {
    if (event.pointerId !== pen) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    (passed.length ? passed : [event]).forEach(each => stroke(place(each)));
    if (waiting === null) waiting = setTimeout(send, Math.max(0, data.pace - (performance.now() - last)));
  };
  const end = event => {
    if (event.pointerId !== pen) return;
    pen = null;
    send();
  };
  const clear = () => { wipe(); send(); };

  canvas.onpointerdown = begin;
  canvas.onpointermove = move;
  canvas.onpointerup = canvas.onpointercancel = canvas.onlostpointercapture = end;
  canvas.onkeydown = event => { if (event.key === 'Delete' || event.key === 'Backspace') clear(); };
  button.onclick = clear;
  return {
    stop,
    renew: now => { if (now !== generation) { generation = now; wipe(); } },
    restore: url => {
      const image = new Image();
      image.onload = () => { context.drawImage(image, 0, 0, canvas.width, canvas.height); show(true); };
      image.src = url;
    },
  };
}

export default function ({ parentElement, data, setStateValue }) {
  const canvas = parentElement.querySelector('canvas');
  const fresh = !canvas.pad;
  if (fresh) {
    const [state, button] = ['#state', 'button'].map(each => parentElement.querySelector(each));
    canvas.pad = makePad(canvas, state, button, data, setStateValue);
  }
  canvas.pad.renew(data.generation);
  if (fresh && data.drawing) canvas.pad.restore(data.drawing);
  return canvas.pad.stop;
}
