//! What a command does, as far as its words tell.

use super::{Invocation, Text};

const HOST: &[&str] = &[
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/sbin", "/srv", "/usr",
    "/var",
];

fn on_host(word: &Text) -> bool {
    let path = word.known.as_deref().unwrap_or_default();
    HOST.iter().any(|folder| {
        let rest = path.strip_prefix(folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn is_interpreter(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "python" | "python3" | "perl"
    )
}

impl Invocation {
    /// The words that name what is written.
    fn targets(&self) -> Vec<&Text> {
        let operands: Vec<&Text> = self.operands().collect();
        match self.name() {
            "rm" | "rmdir" | "mkdir" | "touch" | "tee" | "unlink" => operands,
            "chmod" | "chown" | "chgrp" => operands.into_iter().skip(1).collect(),
            "install" if self.has_flag('d') => operands,
            "install" | "cp" | "mv" | "ln" => {
                let arguments = self.arguments();
                let into = arguments.iter().position(|word| {
                    word.raw.starts_with('-')
                        && !word.raw.starts_with("--")
                        && word.raw.ends_with('t')
                });
                match into {
                    Some(at) => arguments.get(at + 1).into_iter().collect(),
                    // A single operand is put into the current folder.
                    None if operands.len() < 2 => Vec::new(),
                    None => operands.last().copied().into_iter().collect(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// The words that name places of the host, outside `$srcdir` and `$pkgdir`, that it writes to.
    pub(crate) fn host_targets(&self) -> Vec<&Text> {
        let targets = self.targets().into_iter().chain(&self.written);
        targets.filter(|target| on_host(target)).collect()
    }

    /// Whether it is a program that needs the network for what it is asked.
    pub(crate) fn needs_network(&self) -> bool {
        let verb = self.operands().next().map_or("", |word| &word.raw);
        // A file that is there needs no network.
        let local = |word: &Text| {
            let name = word.raw.trim_end_matches(['"', '\'']);
            let ends = [".tgz", ".tar.gz", ".whl"];
            name.starts_with("./") || ends.iter().any(|end| name.ends_with(end))
        };
        let is_local = self.operands().any(local);
        let has = |option: &str| self.arguments().iter().any(|word| word.raw == option);
        match self.name() {
            "curl" | "wget" | "aria2c" => true,
            "git" => {
                let local = self.operands().nth(1).is_some_and(|word| {
                    word.raw.contains("srcdir") || word.raw.contains("file://")
                });
                matches!(verb, "clone" | "fetch" | "pull") && !local
            }
            "pip" | "pip3" => {
                verb == "install"
                    && !is_local
                    && !has("--no-index")
                    && !has("--no-deps")
                    && !has("--offline")
            }
            "npm" | "pnpm" | "yarn" => {
                !is_local
                    && matches!(verb, "ci" | "add" | "install")
                    && !has("--offline")
                    && !has("--frozen-offline")
            }
            "go" => verb == "get",
            "cargo" => verb == "fetch" && !has("--offline"),
            _ => false,
        }
    }

    /// Whether it runs what it fetches, as `curl … | sh` does.
    pub(crate) fn runs_what_it_fetches(&self) -> bool {
        let fetches = matches!(self.name(), "curl" | "wget");
        let piped = fetches && self.pipes_into.as_deref().is_some_and(is_interpreter);
        let starts = ["$(curl ", "<(curl ", "$(wget ", "<(wget "];
        let runs = matches!(self.name(), "eval" | "source" | ".") || is_interpreter(self.name());
        let given = |word: &Text| starts.iter().any(|start| word.raw.contains(start));
        piped || runs && self.arguments().iter().any(given)
    }

    /// Whether it becomes another user, above all root.
    pub(crate) fn changes_user(&self) -> bool {
        matches!(self.name(), "sudo" | "doas" | "pkexec" | "su")
    }

    /// Whether it lets a file run with the rights of its owner, or with capabilities.
    pub(crate) fn gives_rights(&self) -> bool {
        let modes = |mode: &str| {
            let digits = mode.len() >= 4 && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            let special = digits && !mode.trim_start_matches('0').is_empty() && {
                let digit = mode.as_bytes()[mode.len() - 4];
                digit != b'0' && digit != b'1'
            };
            special
                || mode
                    .split(',')
                    .any(|part| part.contains('+') && part.ends_with('s'))
        };
        let known = |word: &Text| word.known.clone().unwrap_or_default();
        match self.name() {
            "setcap" => true,
            "chmod" => self
                .operands()
                .next()
                .is_some_and(|word| modes(&known(word))),
            "install" => self.arguments().iter().enumerate().any(|(at, word)| {
                let text = known(word);
                let joined = text.strip_prefix("--mode=").map(str::to_owned);
                let short = text
                    .strip_prefix('-')
                    .filter(|flags| !flags.starts_with('-'))
                    .and_then(|flags| flags.split_once('m'))
                    .map(|(_, mode)| mode.to_owned());
                let mode = joined.or(short).map(|mode| {
                    let next = self.arguments().get(at + 1);
                    if mode.is_empty() {
                        next.map(known).unwrap_or_default()
                    } else {
                        mode
                    }
                });
                mode.is_some_and(|mode| modes(&mode))
            }),
            _ => false,
        }
    }

    /// Whether it makes readable, or runs, what the recipe's text hides.
    pub(crate) fn unveils(&self) -> bool {
        let has = |option: &str| self.arguments().iter().any(|word| word.raw == option);
        match self.name() {
            "base64" | "base32" => self.has_flag('d') || has("--decode"),
            "xxd" => self.has_flag('r'),
            "openssl" => self.operands().next().is_some_and(|word| word.raw == "enc"),
            "eval" => !self.arguments().is_empty(),
            _ => false,
        }
    }

    /// A word that names where people keep secrets.
    pub(crate) fn secret_place(&self) -> Option<&Text> {
        const PLACES: &[&str] = &[
            ".ssh/",
            ".ssh\"",
            ".gnupg",
            ".aws/",
            ".netrc",
            ".git-credentials",
            ".npmrc",
            ".cargo/credentials",
            ".mozilla",
            ".config/google-chrome",
            "/etc/shadow",
            "/proc/self/environ",
            "wallet.dat",
        ];
        let words = self.words.iter().chain(&self.written);
        let mut named = words.filter(|word| PLACES.iter().any(|place| word.raw.contains(place)));
        named.next()
    }

    /// Whether it sets up something that runs later.
    pub(crate) fn stays(&self) -> bool {
        let verb = |verb: &str| self.operands().any(|word| word.raw == verb);
        match self.name() {
            "crontab" | "at" | "batch" => true,
            "systemctl" => verb("enable") || verb("start"),
            _ => false,
        }
    }
}
