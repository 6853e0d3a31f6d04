const drawn = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true">${path}</svg>`;

export const PLAY = drawn('<path d="M8 5.2v13.6a.8.8 0 0 0 1.2.7l10.6-6.8a.8.8 0 0 0 0-1.4L9.2 4.5a.8.8 0 0 0-1.2.7z"/>');
export const PAUSE = drawn('<rect x="6.5" y="5" width="4" height="14" rx="1"/><rect x="13.5" y="5" width="4" height="14" rx="1"/>');
export const AGAIN = drawn('<path fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" d="M19 12a7 7 0 1 1-2.2-5.1"/><path d="M19.8 3.2v5.6h-5.6z"/>');

export const ICONS = {
  back: drawn('<path d="M17 6l-8 6 8 6zM6 6v12"/>'),
  on: drawn('<path d="M7 6l8 6-8 6zM18 6v12"/>'),
  follow: drawn('<circle cx="12" cy="12" r="7"/><circle cx="12" cy="12" r="1.6"/><path d="M12 2v4M12 18v4M2 12h4M18 12h4"/>'),
  home: drawn('<path d="M4 9V5h4M16 5h4v4M20 15v4h-4M8 19H4v-4"/><circle cx="12" cy="12" r="2.6"/>'),
  theme: drawn('<path d="M20 14.2A8 8 0 1 1 9.8 4 6.4 6.4 0 0 0 20 14.2z"/>'),
  full: drawn('<path d="M9 4H4v5M15 4h5v5M20 15v5h-5M4 15v5h5"/>'),
  keys: drawn('<path d="M9.2 9.2a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2.2"/><path d="M12 17.6v.1"/><circle cx="12" cy="12" r="9.4"/>'),
};
