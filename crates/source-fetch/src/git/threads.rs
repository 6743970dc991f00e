//! Work on several threads at once.

/// More threads than this wait for one another, or for the disk.
const MOST: usize = 4;

/// How many threads work at once.
pub(super) fn count() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST)
}

/// Calls `work` on [`count`] threads, this one among them, and returns what each has returned, or the first error.
pub(super) fn run<T: Send, E: Send>(work: impl Fn() -> Result<T, E> + Sync) -> Result<Vec<T>, E> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (1..count()).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for thread in running {
            match thread.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results.into_iter().collect()
    })
}
