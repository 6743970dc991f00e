#![allow(clippy::unwrap_used)]

use super::*;

type Step = fn(&mut Tree<'_>, &Path) -> Result<(), Stop>;

#[test]
fn every_name_that_is_kept_is_counted() {
    let steps: [(&str, Step); 3] = [
        ("directory", |tree, path| {
            tree.directory(b"d", path, 0o755, Mtime::default())
        }),
        ("link", |tree, path| {
            tree.symlink(b"l", path, b"target", Mtime::default())
        }),
        ("parent", |tree, path| tree.ensure_directory(b"p", path)),
    ];
    for folds in [false, true] {
        for (what, step) in steps {
            let root = tempfile::tempdir().unwrap();
            let limits = ExtractLimits {
                case_insensitive: Some(folds),
                ..ExtractLimits::default()
            };
            let token = CancellationToken::new();
            let packed = Arc::new(AtomicU64::new(1));
            let mut tree = Tree::new(root.path(), &limits, &token, packed).unwrap();
            tree.names = MAX_NAMES - 20 * NAME_COST;
            let result = (0..30).try_for_each(|number| {
                let path = tree.enter(format!("n{number}").as_bytes())?.unwrap();
                step(&mut tree, &path)
            });
            let is_counted = matches!(
                result,
                Err(Stop::Refused {
                    problem: ExtractProblem::TooManyNames { .. },
                    ..
                })
            );
            assert!(is_counted, "{what}, folds: {folds}: {result:?}");
        }
    }
}
