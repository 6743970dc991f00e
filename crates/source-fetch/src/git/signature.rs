//! The signature of a commit or tag, and the bytes it signs.

use git2::{ObjectType, Oid};

use super::error::GitProblem;
use super::mirror::{Mirror, problem};

/// How an armored `OpenPGP` signature begins inside a tag.
const ARMOR: &[u8] = b"-----BEGIN PGP ";

/// A signature taken out of a git object; nothing has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedObject {
    /// `commit` or `tag`.
    pub kind: &'static str,
    /// The object id, 40 hexadecimal digits.
    pub id: String,
    /// The bytes that are signed.
    pub payload: Vec<u8>,
    /// The signature, in armor.
    pub signature: Vec<u8>,
}

/// Takes the signature out of the commit `id`, or where a tag was asked for out of the annotated tag.
///
/// # Errors
/// [`GitProblem::Unsigned`] when it has none, which a lightweight tag never has: git-verify-tag(1).
pub(super) fn extract(mirror: &Mirror, id: Oid, is_tag: bool) -> Result<SignedObject, GitProblem> {
    let repository = mirror.repository();
    let read = |source| problem(mirror.url(), "read the signature", source);
    let odb = repository.odb().map_err(read)?;
    let object = odb.read(id).map_err(read)?;
    let unsigned = |kind| GitProblem::Unsigned {
        url: mirror.url().to_owned(),
        kind,
        object: id.to_string(),
    };
    // The signature of the commit says nothing about a tag that leads to it.
    if is_tag && object.kind() != ObjectType::Tag {
        return Err(unsigned("tag"));
    }
    let (kind, payload, signature) = if object.kind() == ObjectType::Tag {
        let data = object.data();
        // git looks for the last line that begins so: anything before belongs to the message.
        let start = (0..data.len())
            .rev()
            .find(|&at| data[at..].starts_with(ARMOR) && (at == 0 || data[at - 1] == b'\n'))
            .ok_or_else(|| unsigned("tag"))?;
        ("tag", data[..start].to_vec(), data[start..].to_vec())
    } else {
        let (signature, payload) =
            repository
                .extract_signature(&id, None)
                .map_err(|error| match error.code() {
                    git2::ErrorCode::NotFound => unsigned("commit"),
                    _ => read(error),
                })?;
        ("commit", payload.to_vec(), signature.to_vec())
    };
    Ok(SignedObject {
        kind,
        id: id.to_string(),
        payload,
        signature,
    })
}
