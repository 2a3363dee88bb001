// The link says what the frame's own address says at the moment in which it is used: fragments change that by themselves.
export default function ({ parentElement, data }) {
  const link = parentElement.querySelector('a');
  const own = new RegExp(data.own);
  const follow = () => {
    const said = new URLSearchParams(location.search);
    for (const [name, value] of [...said]) if (data.without.includes(name) || own.test(value)) said.delete(name);
    link.href = said.size ? `${data.path}?${said.toString().replaceAll('%2C', ',')}` : data.path;
  };
  link.textContent = data.title;
  link.href = data.link;
  for (const use of ['pointerenter', 'pointerdown', 'focus', 'contextmenu']) link[`on${use}`] = follow;
}
