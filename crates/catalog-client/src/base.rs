//! The catalog's base URLs, with their credentials kept apart.

use network_policy::{SourcePolicy, may_carry_secrets};
use url::Url;

use crate::config::{CatalogConfig, OtherOrigins, Token};
use crate::error::{CatalogError, printable};

/// One base URL.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    url: Url,
    /// A user name and password that stood in the URL.
    basic: Option<(String, Option<Token>)>,
}

impl Base {
    /// # Errors
    /// [`CatalogError::Config`] when the text is no URL that a path can be added to.
    fn parse(text: &str) -> Result<Self, CatalogError> {
        let refuse = |problem: &str| CatalogError::Config {
            setting: "base_urls",
            problem: format!("{problem}; give an address such as `https://catalog.example`"),
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(refuse("a base URL is empty"));
        }
        // `user:secret@host` without a scheme is a URL with the scheme `user`.
        let shown = text.rsplit('@').next().unwrap_or_default();
        let shown = printable(shown.split(['?', '#']).next().unwrap_or_default(), 200);
        let mut url = Url::parse(text)
            .map_err(|error| refuse(&format!("`{shown}` is no usable URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(&format!("`{shown}` is neither http nor https")));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a base URL has a query or fragment"));
        }
        let basic = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(text)
                    .decode_utf8_lossy()
                    .into_owned()
            };
            (
                decode(url.username()),
                url.password().map(|p| Token::new(decode(p))),
            )
        });
        // Cannot fail: an http URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self { url, basic })
    }

    /// The base URL, with a trailing slash and without credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The base URL as people write it.
    pub(crate) fn shown(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// The URL of a path below the base; the path has no leading slash and no `..`.
    pub(crate) fn join(&self, path: &str) -> Option<Url> {
        let url = Url::parse(&format!("{}{path}", self.url)).ok()?;
        (url.origin() == self.url.origin()).then_some(url)
    }

    /// A URL without user name, password, query or fragment.
    pub(crate) fn show(url: &Url) -> String {
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }
}

/// All base URLs, and who else may be asked.
#[derive(Debug)]
pub(crate) struct Bases {
    list: Vec<Base>,
    token: Option<Token>,
    others: Vec<Url>,
    any: bool,
}

impl Bases {
    pub(crate) fn new(config: &CatalogConfig) -> Result<Self, CatalogError> {
        let list: Vec<Base> = config
            .base_urls
            .iter()
            .map(|text| Base::parse(text))
            .collect::<Result<_, _>>()?;
        if list.is_empty() {
            return Err(CatalogError::Config {
                setting: "base_urls",
                problem: "there is none; give at least one".to_owned(),
            });
        }
        if config.token.is_some() && list.iter().any(|base| base.basic.is_some()) {
            return Err(CatalogError::Config {
                setting: "token",
                problem: "a base URL carries a user name as well; use one of the two".to_owned(),
            });
        }
        if let Some(token) = &config.token
            && (token.expose().is_empty() || !token.expose().bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(CatalogError::Config {
                setting: "token",
                problem: "it is empty or has blanks or characters that a header cannot carry"
                    .to_owned(),
            });
        }
        let (others, any) = match &config.other_origins {
            OtherOrigins::Refuse => (Vec::new(), false),
            OtherOrigins::AllowAny => (Vec::new(), true),
            OtherOrigins::Allow(origins) => {
                let origins = origins.iter().map(|text| {
                    Url::parse(text)
                        .ok()
                        .filter(|url| url.origin().is_tuple())
                        .ok_or(CatalogError::Config {
                            setting: "other_origins",
                            problem: "one is no origin such as `https://recipes.example`"
                                .to_owned(),
                        })
                });
                (origins.collect::<Result<_, _>>()?, false)
            }
        };
        Ok(Self {
            list,
            token: config.token.clone(),
            others,
            any,
        })
    }

    /// The base URL that is tried first.
    pub(crate) fn first(&self) -> &Base {
        &self.list[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Base> {
        self.list.iter()
    }

    /// The path of a URL below the base URL it belongs to.
    pub(crate) fn path_below(&self, url: &Url) -> Option<String> {
        self.iter()
            .find_map(|base| url.as_str().strip_prefix(base.url.as_str()))
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
    }

    fn of(&self, url: &Url) -> Option<&Base> {
        self.list
            .iter()
            .find(|base| base.url.origin() == url.origin())
    }

    /// Whether the URL's origin is a base URL's, or an allowed one.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        self.any || self.of(url).is_some() || self.is_other(url)
    }

    fn is_other(&self, url: &Url) -> bool {
        let mut others = self.others.iter();
        others.any(|other| other.origin() == url.origin())
    }

    /// What may be asked: the configured origins whatever their address is, and over plain http too,
    /// as secrets are kept from that elsewhere.
    pub(crate) fn policy(&self) -> SourcePolicy {
        let own = self.list.iter().map(Base::url);
        own.chain(&self.others)
            .fold(SourcePolicy::default(), SourcePolicy::allow_origin)
            .allow_insecure(true)
    }

    /// The base URL whose credentials go with a request for a URL: over TLS, or to this machine
    /// itself. The token was given for the first base URL and is no mirror's.
    fn trusted(&self, url: &Url) -> Option<&Base> {
        let base = self.of(url).filter(|_| may_carry_secrets(url))?;
        let is_given_for = base.basic.is_some() || base.url.origin() == self.first().url.origin();
        is_given_for.then_some(base)
    }

    /// The base URLs that get no credentials although there are some.
    pub(crate) fn withheld(&self) -> Vec<String> {
        let has_some = |base: &&Base| self.token.is_some() || base.basic.is_some();
        self.iter()
            .filter(has_some)
            .filter(|base| self.trusted(&base.url).is_none())
            .map(Base::shown)
            .collect()
    }

    /// The `Authorization` header for a URL: only trusted base URLs get one.
    pub(crate) fn authorize(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> reqwest::RequestBuilder {
        match (self.trusted(url), &self.token) {
            (
                Some(Base {
                    basic: Some((user, password)),
                    ..
                }),
                _,
            ) => request.basic_auth(user, password.as_ref().map(Token::expose)),
            (Some(_), Some(token)) => request.bearer_auth(token.expose()),
            (None, _) | (Some(_), None) => request,
        }
    }

    /// What the answer for a URL may depend on beside the URL: the credentials sent with it.
    pub(crate) fn identity(&self, url: &Url) -> String {
        match (self.trusted(url), &self.token) {
            (
                Some(Base {
                    basic: Some((user, password)),
                    ..
                }),
                _,
            ) => {
                format!("{user}:{}", password.as_ref().map_or("", Token::expose))
            }
            (Some(_), Some(token)) => token.expose().to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bases(config: &CatalogConfig) -> Bases {
        Bases::new(config).unwrap()
    }

    #[test]
    fn trailing_slashes_and_prefixes_make_no_difference() {
        for base in ["http://h", "http://h/", "http://h//", " http://h "] {
            let bases = bases(&CatalogConfig::new([base]));
            assert_eq!(bases.first().shown(), "http://h");
            let url = bases.first().join("workers/w").unwrap();
            assert_eq!(url.as_str(), "http://h/workers/w");
        }
        let bases = bases(&CatalogConfig::new(["http://h/below/"]));
        let url = bases.first().join("workers/w").unwrap();
        assert_eq!(url.as_str(), "http://h/below/workers/w");
        assert_eq!(bases.path_below(&url).as_deref(), Some("workers/w"));
        let outside = Url::parse("http://h/workers/w").unwrap();
        assert_eq!(bases.path_below(&outside), None);
    }

    #[test]
    fn credentials_belong_to_their_origin() {
        let bases = bases(&CatalogConfig {
            token: Some(Token::new("sesame")),
            other_origins: OtherOrigins::AllowAny,
            ..CatalogConfig::new(["https://h:8443"])
        });
        let http = reqwest::Client::new();
        for (url, sent) in [
            ("https://h:8443/x", true),
            ("https://h/x", false),
            ("http://h:8443/x", false),
            ("https://h.evil.example:8443/x", false),
            ("https://sub.h:8443/x", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert!(bases.allows(&url));
            let request = bases.authorize(&url, http.get(url.clone())).build();
            let headers = request.unwrap().headers().clone();
            assert_eq!(headers.contains_key("authorization"), sent, "{url}");
            assert_eq!(bases.identity(&url).is_empty(), !sent, "{url}");
        }
    }

    #[test]
    fn secrets_go_neither_in_clear_nor_to_mirrors() {
        let urls = [
            "http://127.0.0.1:8787",
            "https://mirror.example",
            "http://user:secret@plain.example",
            "https://user:secret@other.example",
        ];
        let with_token = bases(&CatalogConfig {
            token: Some(Token::new("sesame")),
            ..CatalogConfig::new([urls[0], urls[1]])
        });
        assert_eq!(with_token.withheld(), ["https://mirror.example"]);
        let with_users = bases(&CatalogConfig::new(urls));
        assert_eq!(with_users.withheld(), ["http://plain.example"]);
        let http = reqwest::Client::new();
        for (bases, url, sent) in [
            (&with_token, "http://127.0.0.1:8787/x", true),
            (&with_token, "https://mirror.example/x", false),
            (&with_users, "http://plain.example/x", false),
            (&with_users, "https://other.example/x", true),
        ] {
            let url = Url::parse(url).unwrap();
            let request = bases.authorize(&url, http.get(url.clone())).build();
            let headers = request.unwrap().headers().clone();
            assert_eq!(headers.contains_key("authorization"), sent, "{url}");
            assert_eq!(bases.identity(&url).is_empty(), !sent, "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for text in [
            "user:secret@h:80",
            "ftp://user:secret@h",
            "http://user:secret@h:99999",
            "http://user:secret@h/?secret",
        ] {
            let config = CatalogConfig::new([text]);
            let error = Bases::new(&config).unwrap_err();
            for shown in [error.to_string(), format!("{error:?} {config:?}")] {
                assert!(!shown.contains("secret"), "{shown}");
            }
        }
    }
}
