// Does `work` while no other tab does work of that name. Where the browser denies locks, as it may to a page that may store nothing,
// no other tab knows of it either.
export async function oneTab(name: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  let begun = false;
  const begin = (): Promise<void> => {
    begun = true;
    return work();
  };
  try {
    await (navigator.locks ? navigator.locks.request(name, signal ? { signal } : {}, begin) : begin());
  } catch (error) {
    if (begun || signal?.aborted) throw error;
    await work();
  }
}
