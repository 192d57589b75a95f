
// Shows what a spot's title says beside the pointer, at once, and by touch. Without this the page is the same but slower.
(() => {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  // Or the browser would show titles too.
  for (const drawing of document.querySelectorAll('svg.drawing')) {
    const title = drawing.querySelector('title');
    drawing.removeAttribute('aria-labelledby');
    drawing.setAttribute('aria-label', title.textContent);
    title.remove();
  }
  for (const spot of document.querySelectorAll('.spot')) {
    const title = spot.querySelector('title');
    spot.dataset.tells = title.textContent;
    title.remove();
  }
  const show = event => {
    const spot = event.target instanceof Element ? event.target.closest('.spot') : null;
    tip.hidden = !spot;
    if (!spot) return;
    tip.textContent = spot.dataset.tells;
    const room = 14;
    const { width, height } = tip.getBoundingClientRect();
    const beside = event.clientX + room + width > innerWidth ? event.clientX - room - width : event.clientX + room;
    const above = event.clientY - room - height;
    tip.style.left = `${Math.max(4, beside)}px`;
    tip.style.top = `${above > 0 ? above : event.clientY + room}px`;
  };
  document.addEventListener('pointermove', show);
  document.addEventListener('pointerdown', show);
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);
})();
