//! What a mirror lacks of what a server has, and what is written down when it has come.

use super::Attempt;
use crate::git::error::GitProblem;
use crate::git::mirror::{Head, Mirror};
use crate::git::session::{RemoteRefs, UNLIMITED, Wanted, is_valid_name};

/// What a mirror needs of a server.
pub(super) struct Need {
    pub(super) wanted: Wanted,
    /// What must be there afterwards.
    pub(super) tips: Vec<git2::Oid>,
}

/// Compares what a server has with what the mirror has.
pub(super) fn need(
    mirror: &Mirror,
    refs: &RemoteRefs,
    attempt: &Attempt,
    can_be_shallow: bool,
) -> Result<Need, GitProblem> {
    let known = mirror.references()?;
    let shallow: Vec<git2::Oid> = mirror
        .shallow()?
        .into_iter()
        .filter(|id| mirror.has(*id))
        .collect();
    let mut tips: Vec<git2::Oid> = match attempt {
        Attempt::Commit { id, .. } => vec![*id],
        _ => refs.refs.iter().map(|reference| reference.id).collect(),
    };
    if let (Attempt::Tip, Some(id)) = (attempt, refs.head)
        && refs.refs.is_empty()
    {
        tips.push(id);
    }
    tips.sort_unstable();
    tips.dedup();
    let deepen = !shallow.is_empty()
        && matches!(
            attempt,
            Attempt::Everything(_) | Attempt::Commit { shallow: false, .. }
        );
    let wants = tips
        .iter()
        .copied()
        .filter(|id| deepen || !mirror.has(*id))
        .collect();
    // A mirror with history keeps it: what is new then comes with all of its parents.
    let is_new = known.is_empty();
    let depth = match attempt {
        _ if deepen => Some(UNLIMITED),
        Attempt::Tip | Attempt::Commit { shallow: true, .. }
            if can_be_shallow && (is_new || !shallow.is_empty()) =>
        {
            Some(1)
        }
        _ => None,
    };
    Ok(Need {
        wanted: Wanted {
            wants,
            haves: if is_new { Vec::new() } else { mirror.haves()? },
            shallow,
            depth,
        },
        tips,
    })
}

/// Writes down what has arrived.
pub(super) fn record(
    mirror: &Mirror,
    refs: &RemoteRefs,
    attempt: &Attempt,
) -> Result<(), GitProblem> {
    let mut references = match attempt {
        // What the server no longer has goes, except the commits that were asked for by id.
        Attempt::Everything(_) => {
            let mut kept = mirror.references()?;
            kept.retain(|name, _| name.starts_with(b"refs/commits/"));
            kept
        }
        _ => mirror.references()?,
    };
    for reference in &refs.refs {
        references.insert(reference.name.clone(), reference.id);
    }
    if let Attempt::Commit { id, .. } = attempt {
        references.insert(format!("refs/commits/{id}").into_bytes(), *id);
    }
    mirror.set_references(&references)?;
    let target = refs
        .head_target
        .as_ref()
        .filter(|name| name.starts_with("refs/heads/") && is_valid_name(name.as_bytes()));
    match (target, refs.head) {
        (Some(name), _) => mirror.set_head(&Head::Branch(name.clone()))?,
        (None, Some(id)) => {
            // Old servers do not say where `HEAD` points; git guesses the same way.
            let same = |name: &str| references.get(name.as_bytes()) == Some(&id);
            let guess = ["refs/heads/main", "refs/heads/master"]
                .into_iter()
                .find(|name| same(name));
            let guess = guess.map(str::to_owned).or_else(|| {
                let mut branches = references
                    .iter()
                    .filter(|(name, at)| name.starts_with(b"refs/heads/") && **at == id)
                    .filter_map(|(name, _)| String::from_utf8(name.clone()).ok());
                branches.next()
            });
            mirror.set_head(&guess.map_or(Head::Detached(id), Head::Branch))?;
        }
        (None, None) if matches!(attempt, Attempt::Everything(_)) => {
            mirror.set_head(&Head::none())?;
        }
        (None, None) => {}
    }
    if matches!(attempt, Attempt::Everything(_)) {
        mirror.set_full()
    } else {
        Ok(())
    }
}
