use super::*;

/// Reads a file as the image has it at `path`; prints package URLs, sorted, or why there are none.
fn read(path: &str, bytes: &[u8]) -> String {
    let path = LayerPath::clean(path);
    let mut found = match recognise(&path, 0o644) {
        None => return "not recognised".to_owned(),
        Some(Reading::Program) => of_program(&mut &bytes[..]).unwrap(),
        Some(Reading::Whole(_, parse)) => match parse(&path, bytes) {
            Ok(Contents::Packages(packages)) => packages,
            Ok(Contents::Distribution(Distribution { id, version })) => {
                return format!("{id} {version}");
            }
            Err(reason) => return reason.to_string(),
        },
    };
    found.sort();
    let lines = found.iter_mut().map(|package| {
        package.belongs_to(None);
        package.purl().trim_start_matches("pkg:").to_owned()
    });
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn databases_of_distributions() {
    let dpkg = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.1)\nVersion: 2.36-9+deb12u1\nDescription: C\n longer\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\nPackage: base-files\nVersion: 12\nArchitecture: amd64\n";
    let apk = "C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld\na:0:0:755\n\nC:Q1\nP:musl-utils\nV:1.2.4-r2\nA:x86_64\no:musl\n\n";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("var/lib/dpkg/status",              dpkg, "deb/debian/base-files@12?arch=amd64 deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&upstream=glibc%402.1"),
        ("var/lib/dpkg/status.d/base",       dpkg, "deb/debian/base-files@12?arch=amd64 deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&upstream=glibc%402.1"),
        ("var/lib/dpkg/status.d/b.md5sums",  dpkg, "not recognised"),
        ("srv/var/lib/dpkg/status",          dpkg, "not recognised"),
        ("lib/apk/db/installed",             apk,  "apk/alpine/musl@1.2.4-r2?arch=x86_64 apk/alpine/musl-utils@1.2.4-r2?arch=x86_64&upstream=musl"),
        ("usr/lib/apk/db/installed",         "",   ""),
        ("etc/os-release",                   "NAME=x\nID=debian\nVERSION_ID=\"12\"\n", "debian 12"),
    ];
    for (path, text, want) in cases {
        assert_eq!(read(path, text.as_bytes()), want, "{path}");
    }
}

#[test]
fn lock_files() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("a/package-lock.json", r#"{"packages":{"":{"name":"me","version":"1.0.0"},"node_modules/@a/b":{"version":"2.0.0"},"node_modules/c/node_modules/d":{"version":"3.0.0"},"node_modules/l":{"link":true}}}"#,
         "npm/d@3.0.0 npm/%40a/b@2.0.0"),
        ("package-lock.json", r#"{"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}},"f":{"version":"file:f"}}}"#, "npm/a@1.0.0 npm/b@2.0.0"),
        ("package-lock.json", "{", "it is not in the form that its name says"),
        ("yarn.lock", "# yarn\n\n\"@a/b@^1\", \"@a/b@^1.2\":\n  version \"1.2.0\"\n\nc@^2:\n  version \"2.0.0\"\n  dependencies:\n    d \"1\"\n", "npm/c@2.0.0 npm/%40a/b@1.2.0"),
        ("yarn.lock", "__metadata:\n  version: 6\n\n\"c@npm:^2\":\n  version: 2.0.0\n\n\"me@workspace:.\":\n  version: 0.0.0\n", "npm/c@2.0.0"),
        ("pnpm-lock.yaml", "lockfileVersion: 5.4\npackages:\n\n  /a/1.0.0:\n    dev: true\n  /@b/c/2.0.0_x@1:\n    dev: true\n", "npm/a@1.0.0 npm/%40b/c@2.0.0"),
        ("pnpm-lock.yaml", "packages:\n\n  'a@1.0.0':\n    x: y\n\n  '@b/c@2.0.0(d@1.0.0)':\n    x: y\n\nsnapshots:\n\n  z@1.0.0:\n", "npm/a@1.0.0 npm/%40b/c@2.0.0"),
        ("usr/lib/node_modules/@a/b/package.json", r#"{"name":"@a/b","version":"1.0.0"}"#, "npm/%40a/b@1.0.0"),
        ("src/package.json", "{}", "not recognised"),
        ("usr/lib/python3/site-packages/Foo_Bar-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\n\nVersion: text\n", "pypi/foo-bar@1.0"),
        ("poetry.lock", "[[package]]\nname = \"A\"\nversion = \"1.0\"\n\n[package.extras]\nname = \"x\"\n\n[[package]]\nname = \"b\"\nversion = \"2\"\n[metadata]\n", "pypi/a@1.0 pypi/b@2"),
        ("Pipfile.lock", r#"{"_meta":{},"default":{"a":{"version":"==1.0"}},"develop":{"b":{"git":"x"}}}"#, "pypi/a@1.0"),
        ("requirements.txt", "a==1.0 ; python_version > '3'\nb>=2\n# c==1\nd[x]==3 --hash=sha256:y\n-r e\nf==1.*\n", "pypi/a@1.0 pypi/d@3"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\nsource = \"registry\"\ndependencies = [\n \"x\",\n]\n", "cargo/serde@1.0.0"),
        ("Gemfile.lock", "GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (2.2.3)\n    rails (7.0)\n      rack (>= 2)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  rack\n", "gem/rack@2.2.3 gem/rails@7.0"),
        ("usr/lib/ruby/specifications/my-gem-1.2.0-x86_64-linux.gemspec", "", "gem/my-gem@1.2.0"),
        ("composer.lock", r#"{"packages":[{"name":"a/b","version":"v1.0"}],"packages-dev":[{"name":"c/d","version":"2"}]}"#, "composer/a/b@1.0 composer/c/d@2"),
        ("go.sum", "golang.org/x/net v0.1.0 h1:x\ngolang.org/x/net v0.1.0/go.mod h1:y\nx.io/y v2.0.0/go.mod h1:z\n", "golang/golang.org/x/net@v0.1.0"),
        ("app/app.deps.json", r#"{"libraries":{"App/1.0.0":{"type":"project"},"Json/13.0.1":{"type":"package"}}}"#, "nuget/Json@13.0.1"),
        ("packages.lock.json", r#"{"dependencies":{"net8.0":{"A":{"type":"Direct","resolved":"1.0"},"P":{"type":"Project"}}}}"#, "nuget/A@1.0"),
    ];
    for (path, text, want) in cases {
        assert_eq!(read(path, text.as_bytes()), want, "{path} {text}");
    }
}

#[test]
fn programs_of_go() {
    let sentinel = "s".repeat(16);
    let modules = format!(
        "{sentinel}path\tx\nmod\tx.io/me\tv1.0.0\t\ndep\ta.io/b\tv1.2.3\th1:x\ndep\tc.io/d\tv1.0.0\n=>\te.io/f\tv2.0.0\th1:y\n{sentinel}"
    );
    let mut program = b"\x7fELF".to_vec();
    program.resize(300_000, b'\xff'); // longer than what is read at a time
    program.extend(b"\xff Go buildinf:\x08\x00"); // only looks like it
    program.extend(b"\xff Go buildinf:\x08\x02");
    program.extend([0; 16]);
    for text in ["go1.22.1", &modules] {
        let length = text.len();
        match length {
            0..128 => program.push(length as u8),
            _ => program.extend([length as u8 | 0x80, (length >> 7) as u8]),
        }
        program.extend(text.as_bytes());
    }
    program.extend([0; 1000]);
    let found = of_program(&mut &program[..]).unwrap();
    let found: Vec<String> = found.iter().map(Package::purl).collect();
    let want = [
        "pkg:golang/stdlib@1.22.1",
        "pkg:golang/x.io/me@v1.0.0",
        "pkg:golang/a.io/b@v1.2.3",
        "pkg:golang/e.io/f@v2.0.0",
    ];
    assert_eq!(found, want);
    for length in [0, 3, 4, 100_000, program.len() - 1100] {
        assert_eq!(of_program(&mut &program[..length]).unwrap(), [], "{length}");
    }
}

#[test]
fn databases_of_rpm() {
    let sqlite = include_bytes!("../../../testdata/packages/rpmdb.sqlite");
    let want = read("var/lib/rpm/rpmdb.sqlite", sqlite);
    assert!(
        want.starts_with(
            "rpm/redhat/bash@5.1.8-6.el9?arch=x86_64&upstream=bash-5.1.8-6.el9.src.rpm "
        ),
        "{want}"
    );
    assert_eq!(want.split(' ').count(), 60, "{want}");
    let ndb = include_bytes!("../../../testdata/packages/Packages.db");
    assert_eq!(read("usr/lib/sysimage/rpm/Packages.db", ndb), want);
    assert_eq!(
        read("var/lib/rpm/Packages", b""),
        "databases of rpm in the form of Berkeley DB cannot be read"
    );
    // whatever is broken is no reason to end
    for bytes in [&sqlite[..], ndb] {
        let name = if bytes.starts_with(b"S") {
            "rpmdb.sqlite"
        } else {
            "Packages.db"
        };
        for at in (0..bytes.len()).step_by(97) {
            let mut broken = bytes.to_vec();
            broken[at] ^= 0xff;
            read(&format!("var/lib/rpm/{name}"), &broken);
            read(&format!("var/lib/rpm/{name}"), &bytes[..at]);
        }
    }
}
