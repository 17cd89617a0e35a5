//! `type=secret` and `type=ssh`: what only the command sees.

use super::*;

#[test]
fn secrets() {
    requires!(root);
    let bench = Bench::new();
    let args = [
        "--secret=id=a/b.txt,env=TOKEN",
        "--secret=id=file,src=AT/file-secret",
    ];
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &args, want);
    check(
        "--mount=type=secret,id=a/b.txt --mount=type=secret,source=file --mount=type=secret,target=/x/file --mount=type=secret,id=file,target=rel,mode=0444,uid=5 \
         for f in /run/secrets/b.txt /run/secrets/file /x/file /rel; do stat -c '%a %u:%g %s' $f; done > /out && test \"$(cat /x/file)\" = \"$(cat /run/secrets/b.txt)\"",
        expect![[r#"
            400 0:0 19
            400 0:0 19
            400 0:0 19
            444 5:0 19
            layer: 
        "#]],
    );
    check(
        "--mount=type=secret,id=file,env=T --mount=type=secret,id=missing,env=M --mount=type=secret,id=file,env=U,target=/u \
         test ${#T} = 19 && test \"$(cat /u)\" = \"$U\" && test ! -e /run/secrets && echo \"${M-unset}\" > /out",
        expect![[r#"

            layer: 
        "#]],
    );
    check(
        "--mount=type=secret,id=missing test ! -e /run && echo none > /out",
        expect![[r#"
            none
            layer: 
        "#]],
    );
    let image = bench.image("host");
    let (config, tree) = (format!("{:?}", image.config), image.unpack());
    assert!(!config.contains(TOKEN));
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = fs_err::read(entry.path()).unwrap();
            let found = bytes
                .windows(TOKEN.len())
                .any(|part| part == TOKEN.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
    assert!(!bench.path("kaniko/secrets").exists() && !bench.path("kaniko/lent").exists());
    assert!(!bench.path("upper/upper/.executor/secrets").exists());
}

#[test]
fn what_is_required_and_missing() {
    requires!(root);
    let bench = Bench::new();
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&str, &[&str], i32, &str); 8] = [
        ("--mount=type=secret,id=X,required true",        &[],                           1, "secret X: not found"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,env=NO"],     1, "environment variable for secret \"X\" not set: NO"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,src=/no/x"],  1, "copying secret /no/x: No such file"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,src=/no/x", "--secret=id=X"], 1, "duplicate secret id \"X\""),
        ("--mount=type=ssh,required true",                &[],                           1, "no SSH agent \"default\" is forwarded"),
        ("--mount=type=ssh true",                         &["--ssh=default"],            1, "make sure SSH_AUTH_SOCK is set"),
        ("--mount=source=/none,target=/n true",           &[],                           1, "\"/none\": not found"),
        ("--mount=source=ignored.txt,target=/n true",     &[],                           1, "\"/ignored.txt\": not found"),
    ];
    for (run, args, code, message) in cases {
        bench.neither(&format!("FROM BASE\nRUN {run}\n"), args, code, message);
    }
    bench.neither(
        "FROM BASE\nRUN --mount=type=cache,target=/c --mount=target=/s exit 7\n",
        &[],
        7,
        "exit code: 7",
    );
}

#[test]
fn ssh() {
    requires!(root);
    let bench = Bench::new();
    let args = ["--ssh=default=AT/agent", "--ssh=other=AT/key"];
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &args, want);
    check(
        "--mount=type=ssh --mount=type=ssh,id=other,uid=5,gid=6,mode=0666 --mount=type=ssh,id=missing \
         echo $SSH_AUTH_SOCK > /out; for f in /run/buildkit/*; do test -S $f && stat -c '%n %a %u:%g' $f >> /out; done",
        expect![[r#"
            /run/buildkit/ssh_agent.0
            /run/buildkit/ssh_agent.0 600 0:0
            /run/buildkit/ssh_agent.1 666 5:6
            layer: 
        "#]],
    );
    check(
        "--mount=type=ssh,target=/a/sock,required SSH=$SSH_AUTH_SOCK; echo $SSH > /out",
        expect![[r#"
            /a/sock
            layer: 
        "#]],
    );
}
