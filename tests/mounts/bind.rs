//! `type=bind`: from the context, a stage or an image.

use super::*;

#[test]
fn bind() {
    requires!(root);
    let bench = Bench::new();
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &[], want);
    check(
        "--mount=target=/s (cd /s && find . | sort && stat -c '%a %u:%g %n' . app.txt) > /out",
        expect![[r#"
            .
            ./app.txt
            ./dir
            ./dir/deep.txt
            755 0:0 .
            644 0:0 app.txt
            layer: 
        "#]],
    );
    check(
        "--mount=type=bind ls > /out",
        expect![[r#"
            app.txt
            dir
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o/f,target=/not/there/f stat -c '%a %u:%g' /not/there/f > /out && cat /not/there/f >> /out",
        expect![[r#"
            640 5:6
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=B,src=o,dst=/etc (cd /etc && stat -c '%a' . && find . | sort && cat l) > /out",
        expect![[r#"
            711
            .
            ./d
            ./d/g
            ./f
            ./l
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o/l,target=rel cat rel > /out && cat /w/rel >> /out",
        expect![[r#"
            file
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=BASE,source=/etc,target=/etc2 --mount=from=scratch,target=/empty cmp /etc/passwd /etc2/passwd && ls -A /empty > /out && echo same >> /out",
        expect![[r#"
            same
            layer: 
        "#]],
    );
    check(
        "--mount=target=/s,rw --mount=from=b,target=/b,readwrite rm /s/app.txt /b/o/f && echo new > /s/dir/deep.txt && cat /s/dir/deep.txt > /out",
        expect![[r#"
            new
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o,target=/b --mount=target=/s cat /s/app.txt /s/dir/deep.txt /b/f > /out",
        expect![[r#"
            app
            deep
            file
            layer: 
        "#]],
    );
}

#[test]
fn through_links_of_the_image() {
    requires!(root);
    let bench = Bench::new();
    let before = "FROM BASE\nRUN mkdir /t && ln -s /t /var/link && ln -s ../../../up /etc/out";
    let run = "--mount=target=/var/link/s --mount=type=tmpfs,target=/etc/out cat /t/s/app.txt > /out && touch /up/x && ls / | grep -c up >> /out";
    let want = expect![[r#"
        app
        1
        layer: 
    "#]];
    check(&bench, before, run, &[], want);
}

#[test]
fn read_only_in_namespaces() {
    requires!(root);
    let bench = Bench::new();
    bench.dockerfile(&format!(
        "{STAGES}\nRUN --mount=target=/s --mount=from=b,target=/b,source=/o --mount=type=cache,target=/c,ro --mount=type=secret,id=t \
         for f in /s/new /b/new /c/new /run/secrets/t; do (echo x > $f) 2>&1 | sed 's/.*: //' >> /out; done\n"
    ));
    bench.on_host(&["--secret=id=t,env=TOKEN"]).succeeded();
    let want = "Read-only file system\n".repeat(4);
    assert_eq!(bench.image("host").text("out"), want);
}
