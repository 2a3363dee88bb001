// Asks `seconds` after each answer, `hidden` while nobody sees the page and at once when it is seen again.
export default function ({ parentElement, data, setTriggerValue }) {
  parentElement.end?.();
  let timer = null;
  const ask = () => { setTriggerValue('tick', data.answer); wait(data.lost); };
  const wait = (seconds) => { clearTimeout(timer); timer = setTimeout(ask, 1000 * seconds); };
  const turn = () => document.hidden ? wait(data.hidden) : ask();
  document.addEventListener('visibilitychange', turn);
  parentElement.end = () => { clearTimeout(timer); document.removeEventListener('visibilitychange', turn); };
  wait(document.hidden ? Math.max(data.hidden, data.seconds) : data.seconds);
  return () => parentElement.end();
}
