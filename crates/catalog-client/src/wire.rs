//! Decoding: any of the three shapes in, one model out, and every complaint with its place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::document::{Document, no_path};
use crate::entry::{BuildOptions, Capabilities, CodeSource, Variant, WorkerEntry};
use crate::error::{CatalogError, printable};
use crate::id::WorkerId;
use crate::platform::{Architecture, Backend, Named, Platform};

/// A list decodes into many times its size; a hostile one of 8 MiB has room for millions.
const MOST_WORKERS: usize = 10_000;
/// The same for one entry.
const MOST_VARIANTS: usize = 1_000;

/// Decodes one entry.
pub(crate) fn entry(url: &str, body: &[u8]) -> Result<WorkerEntry, CatalogError> {
    let document = Document::new(url, body)?;
    let Object(wire) = document.decode::<Object<WireEntry>>(document.text, "")?;
    wire.into_entry()
        .map_err(|problem| document.complaint(document.text, "", 1, 1, &problem))
}

/// Decodes a list, keeping what can be used of it: the entries, and one error for each other.
pub(crate) fn list(
    url: &str,
    body: &[u8],
) -> Result<(Vec<WorkerEntry>, Vec<CatalogError>), CatalogError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        workers: Option<Vec<&'a RawValue>>,
    }
    let document = Document::new(url, body)?;
    let mut json = serde_json::Deserializer::from_str(document.text);
    let Object(envelope): Object<Envelope<'_>> = serde_path_to_error::deserialize(&mut json)
        .and_then(|envelope| {
            json.end()
                .map(|()| envelope)
                .map_err(|error| serde_path_to_error::Error::new(no_path(), error))
        })
        .map_err(|error| document.failure(document.text, "", &error))?;
    let Some(raw) = envelope.workers else {
        return Err(CatalogError::NotACatalog {
            url: url.to_owned(),
            found: "JSON without a list of `workers`".to_owned(),
        });
    };
    if raw.len() > MOST_WORKERS {
        let problem = format!("{} workers; at most {MOST_WORKERS} are read", raw.len());
        return Err(document.complaint(document.text, "workers", 1, 1, &problem));
    }
    let (mut entries, mut rejected) = (Vec::new(), Vec::new());
    for (n, raw) in raw.into_iter().enumerate() {
        let path = format!("workers[{n}]");
        let decoded = document
            .decode::<Object<WireEntry>>(raw.get(), &path)
            .and_then(|Object(wire)| {
                wire.into_entry()
                    .map_err(|problem| document.complaint(raw.get(), &path, 1, 1, &problem))
            });
        match decoded {
            Ok(entry) => entries.push(entry),
            Err(error) => rejected.push(error),
        }
    }
    Ok((entries, rejected))
}

/// Every field of every shape, in both spellings; absent and `null` are the same.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEntry {
    id: WorkerId,
    implementation: Option<String>,
    version: Option<String>,
    name: Option<String>,
    description: Option<String>,
    license: Option<String>,
    #[serde(alias = "cover_image")]
    cover_image: Option<String>,
    #[serde(alias = "readme_url")]
    readme_url: Option<String>,
    #[serde(alias = "build_system")]
    build_system: Option<String>,
    source: Option<Object<WireSource>>,
    variants: Option<Vec<Object<WireVariant>>>,
    capabilities: Option<Object<WireCapabilities>>,
    #[serde(
        default,
        deserialize_with = "lenient",
        alias = "marketplace_compatibility"
    )]
    marketplace_compatibility: Option<serde_json::Value>,

    #[serde(alias = "worker_type", alias = "backend")]
    worker_type: Option<Backend>,
    platforms: Option<Vec<Named<Platform>>>,
    architectures: Option<Vec<Named<Architecture>>>,
    #[serde(alias = "pkgbuild_url")]
    pkgbuild_url: Option<String>,
    #[serde(alias = "pkgbuild_url_git")]
    pkgbuild_url_git: Option<String>,
    #[serde(alias = "homebrew_formula")]
    homebrew_formula: Option<String>,
    #[serde(alias = "homebrew_formula_git")]
    homebrew_formula_git: Option<String>,
    build: Option<Object<WireBuild>>,
    depends: Option<Vec<String>>,
    makedepends: Option<Vec<String>>,
    #[serde(alias = "binary_name")]
    binary_name: Option<FileName>,
    #[serde(alias = "install_path")]
    install_path: Option<String>,
    #[serde(alias = "supported_formats")]
    supported_formats: Option<Vec<String>>,
    #[serde(alias = "max_context_length")]
    max_context_length: Option<Tokens>,
    #[serde(alias = "supports_streaming")]
    supports_streaming: Option<bool>,
    #[serde(alias = "supports_batching")]
    supports_batching: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVariant {
    #[serde(alias = "worker_type", alias = "workerType")]
    backend: Backend,
    platforms: Option<Vec<Named<Platform>>>,
    architectures: Option<Vec<Named<Architecture>>>,
    #[serde(alias = "pkgbuild_url")]
    pkgbuild_url: Option<String>,
    #[serde(alias = "pkgbuild_url_git")]
    pkgbuild_url_git: Option<String>,
    #[serde(alias = "homebrew_formula")]
    homebrew_formula: Option<String>,
    #[serde(alias = "homebrew_formula_git")]
    homebrew_formula_git: Option<String>,
    build: Option<Object<WireBuild>>,
    depends: Option<Vec<String>>,
    makedepends: Option<Vec<String>>,
    #[serde(alias = "binary_name")]
    binary_name: Option<FileName>,
    #[serde(alias = "install_path")]
    install_path: Option<String>,
}

#[derive(Deserialize)]
struct WireSource {
    #[serde(rename = "type")]
    kind: Option<String>,
    url: Option<String>,
    branch: Option<String>,
    tag: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct WireBuild {
    features: Option<Vec<String>>,
    profile: Option<String>,
    flags: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WireCapabilities {
    #[serde(alias = "supported_formats")]
    supported_formats: Option<Vec<String>>,
    #[serde(alias = "max_context_length")]
    max_context_length: Option<Tokens>,
    #[serde(alias = "supports_streaming")]
    supports_streaming: Option<bool>,
    #[serde(alias = "supports_batching")]
    supports_batching: Option<bool>,
}

impl WireEntry {
    fn into_entry(self) -> Result<WorkerEntry, String> {
        let base = Capabilities::default();
        let stated = self.capabilities.map(|c| c.0).unwrap_or_default();
        let capabilities = Capabilities {
            supported_formats: stated
                .supported_formats
                .or(self.supported_formats)
                .unwrap_or_default(),
            max_context_length: stated
                .max_context_length
                .or(self.max_context_length)
                .map(|tokens| tokens.0),
            supports_streaming: stated
                .supports_streaming
                .or(self.supports_streaming)
                .unwrap_or(base.supports_streaming),
            supports_batching: stated
                .supports_batching
                .or(self.supports_batching)
                .unwrap_or(base.supports_batching),
        };
        let variants = match (self.variants, self.worker_type) {
            (Some(variants), _) if variants.len() > MOST_VARIANTS => {
                let count = variants.len();
                return Err(format!(
                    "{count} entries in `variants`; at most {MOST_VARIANTS} are read"
                ));
            }
            (Some(variants), _) if !variants.is_empty() => variants
                .into_iter()
                .map(|Object(variant)| variant.into_variant(&self.id, false))
                .collect(),
            (_, Some(backend)) => {
                let flat = WireVariant {
                    backend,
                    platforms: self.platforms,
                    architectures: self.architectures,
                    pkgbuild_url: self.pkgbuild_url,
                    pkgbuild_url_git: self.pkgbuild_url_git,
                    homebrew_formula: self.homebrew_formula,
                    homebrew_formula_git: self.homebrew_formula_git,
                    build: self.build,
                    depends: self.depends,
                    makedepends: self.makedepends,
                    binary_name: self.binary_name,
                    install_path: self.install_path,
                };
                vec![flat.into_variant(&self.id, true)]
            }
            (Some(_), None) => return Err("`variants` is empty".to_owned()),
            (None, None) => {
                return Err(
                    "neither `variants` nor `workerType` (v1: `worker_type`) says a backend"
                        .to_owned(),
                );
            }
        };
        Ok(WorkerEntry {
            name: text(self.name).unwrap_or_else(|| self.id.to_string()),
            id: self.id,
            implementation: text(self.implementation),
            version: text(self.version),
            description: text(self.description),
            license: text(self.license),
            cover_image: text(self.cover_image),
            readme_url: text(self.readme_url),
            build_system: text(self.build_system),
            source: self.source.map(|Object(source)| CodeSource {
                kind: text(source.kind),
                url: text(source.url),
                branch: text(source.branch),
                tag: text(source.tag),
                path: text(source.path),
            }),
            variants,
            capabilities,
            marketplace_compatibility: self.marketplace_compatibility,
        })
    }
}

impl WireVariant {
    /// In a flat entry, a single recipe URL is the one that builds from source: v1 knows no other.
    fn into_variant(self, id: &WorkerId, flat: bool) -> Variant {
        let (first, git) = (text(self.pkgbuild_url), text(self.pkgbuild_url_git));
        let (binary_recipe, source_recipe) = match (first, git) {
            (Some(only), None) if flat => (None, Some(only)),
            pair => pair,
        };
        Variant {
            worker_id: id.clone(),
            backend: self.backend,
            platforms: self.platforms.unwrap_or_default(),
            architectures: self.architectures.unwrap_or_default(),
            binary_recipe,
            source_recipe,
            homebrew_formula: text(self.homebrew_formula),
            homebrew_formula_git: text(self.homebrew_formula_git),
            build: self.build.map(|Object(build)| BuildOptions {
                features: build.features.unwrap_or_default(),
                profile: text(build.profile),
                flags: build.flags.unwrap_or_default(),
            }),
            depends: self.depends.unwrap_or_default(),
            makedepends: self.makedepends.unwrap_or_default(),
            binary_name: self.binary_name.map(|name| name.0),
            install_path: text(self.install_path),
        }
    }
}

/// An empty text says as much as none.
fn text(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.trim().is_empty())
}

/// Informative data: what does not decode is dropped instead of refusing the entry.
fn lenient<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<serde_json::Value>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get())
        .ok()
        .filter(|value: &serde_json::Value| value.is_object()))
}

/// A JSON object. What is derived for a struct takes a list of its fields' values as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// One path component: the name of an installed file.
struct FileName(String);

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let bad = name.is_empty()
            || name.len() > 255
            || matches!(name.as_str(), "." | "..")
            || name.contains(['/', '\\'])
            || name.chars().any(char::is_control);
        if bad {
            return Err(D::Error::custom(format_args!(
                "`{}` is not a file name without folders",
                printable(&name, 80)
            )));
        }
        Ok(Self(name))
    }
}

/// A count of tokens; JSON written by JavaScript may spell it with a fraction of zero.
struct Tokens(u32);

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl Visitor<'_> for Count {
            type Value = Tokens;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {}", u32::MAX)
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Tokens, E> {
                u32::try_from(n)
                    .map(Tokens)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Tokens, E> {
                u32::try_from(n)
                    .map(Tokens)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(n), &self))
            }
            fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Tokens, E> {
                if n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "the range was checked"
                    )]
                    return Ok(Tokens(n as u32));
                }
                Err(E::invalid_value(serde::de::Unexpected::Float(n), &self))
            }
        }
        deserializer.deserialize_any(Count)
    }
}
