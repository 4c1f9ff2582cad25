// previews.ts - pictures of nodes: one URL may be shown under several ids; a blob's is revoked after its last.

/** An <img> may still be loading the URL that a newer frame has just replaced. */
const graceMs = 2000;

export interface PreviewUrls {
  /** Show `url` under every id, instead of what they showed. */
  put(url: string, ids: Iterable<string>): void;
  get(id: string): string | undefined;
  clear(): void;
}

export function createPreviewUrls(): PreviewUrls {
  const urls = new Map<string, string>();
  const uses = new Map<string, number>();

  function release(url: string): void {
    const left = (uses.get(url) ?? 0) - 1;
    if (left > 0) {
      uses.set(url, left);
      return;
    }
    uses.delete(url);
    setTimeout(() => URL.revokeObjectURL(url), graceMs);
  }

  return {
    put(url, ids) {
      for (const id of new Set(ids)) {
        const old = urls.get(id);
        urls.set(id, url);
        uses.set(url, (uses.get(url) ?? 0) + 1);
        if (old) release(old);
      }
    },
    get: (id) => urls.get(id),
    clear() {
      const old = [...urls.values()];
      urls.clear();
      old.forEach(release);
    },
  };
}
