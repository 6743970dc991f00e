//! A new binary is tried before it replaces an old one, and what it lacks is named.

use std::process::Command;

use e2e_tests::worker;

use crate::support::{Site, recipe, run};

/// What an assembler calls an instruction that no processor of the family has.
const ILLEGAL: &str = if cfg!(target_arch = "aarch64") {
    "udf #0"
} else {
    "ud2"
};

/// `package()` of a program compiled from `source`, after `before` and with `options`.
fn compiled(before: &str, source: &str, options: &str) -> String {
    format!(
        "{before}\n  cat > main.c <<'END'\n{source}\nEND\n  cc -o demo main.c {options}\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\""
    )
}

/// A script that is installed as it stands.
fn script(text: &str) -> String {
    format!("  cat > demo <<'END'\n{text}\nEND\n  install -Dm755 demo \"$pkgdir/usr/bin/demo\"")
}

/// A shared library in two editions: the program is linked with the first, and the second is what
/// it finds when it runs.
fn library(linked: &str, found: &str, script: &str) -> String {
    format!(
        "  mkdir -p linked \"$pkgdir/usr/lib\"\n{script}\n  \
         echo '{linked}' | cc -x c -shared -fPIC -Wl,-soname,libpart.so -o linked/libpart.so - $versions\n  \
         echo '{found}' | cc -x c -shared -fPIC -Wl,-soname,libpart.so -o \"$pkgdir/usr/lib/libpart.so\" - $older"
    )
}

const LINKED: &str = "-Llinked -lpart -Wl,-rpath,'$ORIGIN/../lib'";

fn cases() -> Vec<(&'static str, String, &'static str)> {
    let main = "int part(void); int main(void) { return part(); }";
    let editions = |versions| library("int part(void) { return 0; }", "int other;", versions);
    vec![
        (
            "another processor",
            // `e_machine` 8 is MIPS.
            "  cp /bin/true demo\n  printf '\\010\\000' | dd of=demo bs=1 seek=18 conv=notrunc\n  \
             install -Dm755 demo \"$pkgdir/usr/bin/demo\""
                .to_owned(),
            "mips",
        ),
        (
            "no program",
            script("text"),
            "neither a program nor a script",
        ),
        (
            "missing library",
            compiled(
                "  mkdir linked\n  echo 'int part(void) { return 0; }' | \
                 cc -x c -shared -fPIC -Wl,-soname,libabsent.so.1 -o linked/libpart.so -",
                main,
                LINKED,
            ),
            "the shared library `libabsent.so.1` is missing",
        ),
        (
            "library without what is needed",
            compiled(&editions("  versions= older="), main, LINKED),
            "`part`",
        ),
        (
            "library older than needed",
            compiled(
                &editions(
                    "  echo 'GLIBC_1.1 { global: other; };' > old\n  \
                     echo 'GLIBC_9.99 { global: part; };' > new\n  \
                     versions=-Wl,--version-script=new older=-Wl,--version-script=old",
                ),
                main,
                LINKED,
            ),
            "GLIBC_9.99",
        ),
        (
            "interpreter",
            script("#!/opt/absent/python"),
            "its interpreter is missing (`/opt/absent/python`)",
        ),
        (
            "loader",
            compiled(
                "",
                "int main(void) { return 0; }",
                "-Wl,--dynamic-linker=/lib/ld-absent.so.1",
            ),
            "its interpreter is missing (`/lib/ld-absent.so.1`)",
        ),
        (
            "illegal instruction",
            compiled(
                "",
                &format!("int main(void) {{ __asm__ volatile(\"{ILLEGAL}\"); return 0; }}"),
                "",
            ),
            "built for a newer processor",
        ),
        (
            "crash",
            compiled(
                "",
                "int main(void) { volatile int *nowhere = 0; return *nowhere; }",
                "-O0",
            ),
            "segmentation fault",
        ),
    ]
}

#[test]
fn a_program_that_cannot_run_here_is_refused_for_what_it_lacks() {
    run(async {
        for (name, body, part) in cases() {
            let mut site = Site::new("cannot");
            let _old = site.serve(&recipe(&script("#!/bin/sh\necho old"))).await;
            let old = site.provision("demo").await.unwrap();
            let _catalog = site.serve(&recipe(&body).replace("1.0.0", "1.1.0")).await;
            let error = site.provision("demo").await.expect_err(name).chain();
            assert!(error.contains(part), "{name}: {error}");
            site.assert_clean();
            let path = worker_provisioner::Artifact::path(&old.binary);
            let mut command = Command::new(path);
            let said = worker::when_not_busy(|| command.output()).unwrap().stdout;
            assert_eq!(String::from_utf8_lossy(&said), "old\n", "{name}");
        }
    });
}

#[test]
fn a_program_that_only_does_not_know_the_questions_is_installed_with_a_warning() {
    run(async {
        let mut site = Site::new("unasked");
        let body = script("#!/bin/sh\necho 'usage: demo PORT' >&2\nexit 2");
        let _catalog = site.serve(&recipe(&body)).await;
        site.provision("demo").await.unwrap();
        let events = site.events.lock().unwrap();
        let warned = events.iter().any(|event| {
            matches!(&event.happening, worker_provisioner::Happening::Warning { text }
                if text.contains("status 2"))
        });
        assert!(warned);
    });
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn the_trial_sees_no_network_and_writes_nothing() {
    run(async {
        let mut site = Site::new("trial-walls");
        let body = compiled(
            "",
            "#include <stdio.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n\
             #include <netinet/in.h>\n#include <arpa/inet.h>\n\
             int main(void) {\n  FILE *file = fopen(\"/usr/written\", \"w\");\n  \
             struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };\n  \
             to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);\n  \
             int line = socket(AF_INET, SOCK_STREAM, 0);\n  \
             int reached = connect(line, (struct sockaddr *)&to, sizeof to) == 0;\n  \
             printf(\"written %d reached %d\\n\", file != 0, reached);\n  return 0;\n}",
            "-DPORT=$RBEE_E2E_PORT",
        );
        let catalog = site.serve(&recipe(&body)).await;
        let port = catalog.address().port().to_string();
        site.config
            .recipe_env
            .insert("RBEE_E2E_PORT".to_owned(), port);
        let done = site.provision("demo").await.unwrap();
        if done.receipt.isolation == "group" {
            eprintln!("skipped: this host has no tier that walls anything off");
            return;
        }
        let events = site.events.lock().unwrap();
        let answers = events.iter().any(|event| {
            matches!(&event.happening, worker_provisioner::Happening::Note { text }
                if text.contains("answers `written 0 reached 0`"))
        });
        assert!(answers, "{events:#?}");
    });
}
