//! Language spec 3.4.

use super::{Access, Case, RunMount, Sharing, Source};

fn text(options: &str) -> String {
    format!("FROM x AS b\nFROM scratch\nARG V=v\nWORKDIR /w\nRUN {options} cmd")
}

fn show_access(access: Access) -> String {
    format!("{:o} {}:{}", access.mode, access.uid, access.gid)
}

fn show(mount: &RunMount) -> String {
    let source_text = |from: &Source| match from {
        Source::Context => "context".to_owned(),
        Source::Named(position) => format!("context {position}"),
        Source::Stage(position) => format!("stage {position}"),
        Source::Image(image, _) => image.to_string(),
        Source::Scratch => "scratch".to_owned(),
    };
    match mount {
        RunMount::Bind {
            target,
            from,
            source,
            readonly,
        } => {
            format!(
                "bind {target} {}:{source} {}",
                source_text(from),
                if *readonly { "ro" } else { "rw" }
            )
        }
        RunMount::Cache {
            target,
            id,
            from,
            source,
            sharing,
            readonly,
            access: owned,
        } => {
            let from = from.as_ref().map_or("empty".to_owned(), source_text);
            let sharing = match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            let access = if *readonly { "ro" } else { "rw" };
            format!(
                "cache {target} id={id} {from}:{} {sharing} {access} {}",
                source.as_deref().unwrap_or("none"),
                show_access(*owned)
            )
        }
        RunMount::Tmpfs {
            target,
            size,
            readonly,
        } => {
            let access = if *readonly { "ro" } else { "rw" };
            format!("tmpfs {target} {size:?} {access}")
        }
        RunMount::Secret {
            id,
            target,
            env,
            required,
            access,
        } => {
            let access = show_access(*access);
            format!("secret {id} {target:?} {env:?} {required} {access}")
        }
        RunMount::Ssh {
            id,
            target,
            required,
            access,
        } => {
            let access = show_access(*access);
            format!("ssh {id} {target} {required} {access}")
        }
    }
}

#[test]
fn options_and_defaults() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("target=/s",                                 "bind /s context:/ ro"),
        ("type=bind",                                 "bind /w context:/ ro"),
        ("type=cache,target=c",                       "cache /w/c id=c empty:/ shared rw 755 0:0"),
        ("type=cache,target=/c/../d",                 "cache /d id=/d empty:/ shared rw 755 0:0"),
        ("from=b,source=/o/f,target=/f",              "bind /f stage 0:/o/f ro"),
        ("from=B,src=../o,dst=/f",                    "bind /f stage 0:/o ro"),
        ("from=alpine,target=/f",                     "bind /f index.docker.io/library/alpine:latest:/ ro"),
        ("from=0,target=/f",                          "bind /f index.docker.io/library/0:latest:/ ro"),
        ("type=bind,target=/s,rw",                    "bind /s context:/ rw"),
        ("type=bind,target=/s,readonly=false",        "bind /s context:/ rw"),
        ("type=tmpfs,target=/t,size=64m",             "tmpfs /t Some(67108864) rw"),
        ("type=tmpfs,target=/t",                      "tmpfs /t None rw"),
        ("type=tmpfs,target=/t,ro,id=i,from=x,source=s,env=E", "tmpfs /t None ro"),
        ("target=/s,id=i,env=E",                      "bind /s context:/ ro"),
        ("type=ssh,from=x,env=E,rw",                  "ssh default /run/buildkit/ssh_agent.0 false 600 0:0"),
        ("type=secret,id=t,ro=false",                 "secret t Some(\"/run/secrets/t\") None false 400 0:0"),
        ("type=secret,id=a/b.txt",                    "secret a/b.txt Some(\"/run/secrets/b.txt\") None false 400 0:0"),
        ("type=secret,target=/x/tok",                 "secret tok Some(\"/x/tok\") None false 400 0:0"),
        ("type=secret,source=s",                      "secret s Some(\"/run/secrets/s\") None false 400 0:0"),
        ("type=secret,id=t,env=T",                    "secret t None Some(\"T\") false 400 0:0"),
        ("type=secret,id=t,env=T,target=/t",          "secret t Some(\"/t\") Some(\"T\") false 400 0:0"),
        ("type=secret,id=t,uid=5",                    "secret t Some(\"/run/secrets/t\") None false 400 5:0"),
        ("type=secret,id=t,target=t,required",        "secret t Some(\"/t\") None true 400 0:0"),
        ("type=ssh",                                  "ssh default /run/buildkit/ssh_agent.0 false 600 0:0"),
        ("type=ssh,id=k,target=/s,mode=0666,required=true", "ssh k /s true 666 0:0"),
        ("TYPE=Cache,Target=/c/$V,id=i-$V,sharing=LOCKED,mode=0700,uid=1,gid=2,ro", "cache /c/v id=i-v empty:/ locked ro 700 1:2"),
        ("type=cache,target=/c,from=b,source=d",      "cache /c id=/c stage 0:/d shared rw 755 0:0"),
        ("type=cache,target=/c,from=b,source=d,uid=5", "cache /c id=/c stage 0:/d shared rw 755 5:0"),
        ("type=cache,target=/c,from=b",               "cache /c id=/c stage 0:/ shared rw 755 0:0"),
        ("type=cache,target=/c,from=b,uid=5",         "cache /c id=/c stage 0:none shared rw 755 5:0"),
        ("type=cache,target=/c,from=b,source=/,uid=5", "cache /c id=/c stage 0:none shared rw 755 5:0"),
        ("type=cache,target=/c,source=d,uid=5",       "cache /c id=/c empty:/d shared rw 755 5:0"),
    ];
    for (options, want) in cases {
        let run = Case::new().run(&text(&format!("--mount={options}")));
        assert_eq!(show(&run.mounts[0]), want, "{options}");
    }
    let run = Case::new().run(&text("--mount=type=ssh,id=a --mount=type=ssh,id=b"));
    assert_eq!(
        show(&run.mounts[1]),
        "ssh b /run/buildkit/ssh_agent.1 false 600 0:0"
    );
    let case = Case::new().build_arg("BUILDKIT_CACHE_MOUNT_NS", "ns");
    let run = case.run(&text("--mount=type=cache,target=/c"));
    assert_eq!(
        show(&run.mounts[0]),
        "cache /c id=ns//c empty:/ shared rw 755 0:0"
    );
}

#[test]
fn errors() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("type=foo",                        "unsupported mount type \"foo\""),
        ("type=cach,target=/c",             "unsupported mount type \"cach\" (did you mean cache?)"),
        ("foo=1",                           "unexpected key 'foo' in 'foo=1' (did you mean from?)"),
        ("traget=/x",                       "unexpected key 'traget' in 'traget=/x' (did you mean target?)"),
        ("foo",                             "invalid field 'foo' must be a key=value pair"),
        ("size=1m,type=tmpfs",              "unexpected key 'size' for mount type 'bind'"),
        ("type=cache,target=/c,required",   "unexpected key 'required' for mount type 'cache'"),
        ("target=/",                        "invalid mount target \"/\""),
        ("target=/a,uid=1",                 "uid not allowed for \"bind\" type mounts"),
        ("type=tmpfs,target=/a,mode=1",     "mode not allowed for \"tmpfs\" type mounts"),
        ("target=/a,sharing=shared",        "sharing not allowed for \"bind\" type mounts"),
        ("type=cache,target=/a,sharing=shard", "unsupported sharing value \"shard\" (did you mean shared?)"),
        ("type=secret",                     "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b",       "both source and id can't be set"),
        ("type=secret,id=a,from=b",         "from not allowed for \"secret\" type mounts"),
        ("type=ssh,source=a",               "ssh does not support source"),
        ("target=/a,ro=maybe",              "invalid value for readonly: maybe"),
        ("type=tmpfs,target=/a,size=1x",    "invalid value for size: 1x"),
        ("type=cache,target=/a,mode=9",     "invalid value for mode: 9"),
        ("type=cache,target=/a,uid=-1",     "invalid value for uid: -1"),
    ];
    for (options, want) in cases {
        let text = text(&format!("--mount={options}"));
        assert_eq!(
            Case::new().error(&text),
            format!("{want} (line 5)"),
            "{options}"
        );
    }
    let in_root = "FROM scratch\nRUN --mount=type=bind x";
    assert_eq!(
        Case::new().error(in_root),
        "invalid mount target \"/\" (line 2)"
    );
}
