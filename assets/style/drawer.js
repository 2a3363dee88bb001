// On a phone the menu lies over the page: it closes once a page is chosen.
document.addEventListener('click', event => {
  const chosen = event.target.closest('[data-testid=stSidebarNav] a');
  if (chosen && innerWidth < 769) document.querySelector('[data-testid=stSidebarCollapseButton] button')?.click();
});
