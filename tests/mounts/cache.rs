//! `type=cache`: what outlives a build, and where.

use super::*;

#[test]
fn cache() {
    requires!(root);
    let bench = Bench::new();
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &[], want);
    check(
        "--mount=type=cache,target=/c/$V --mount=type=cache,target=m,mode=0700,uid=7,gid=8 stat -c '%a %u:%g' /c/expanded m > /out; touch /c/expanded/x m/y",
        expect![[r#"
            755 0:0
            700 7:8
            layer: 
        "#]],
    );
    // Everything that follows finds what the first left.
    check(
        "--mount=type=cache,target=/c/../c/$V ls /c/expanded > /out",
        expect![[r#"
            x
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/other,id=m ls /other > /out",
        expect![[r#"
            y
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/w/m ls -A /w/m > /out",
        expect![[r#"
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/1,id=m,sharing=private --mount=type=cache,target=/2,id=m,sharing=locked touch /1/z && ls /2 > /out",
        expect![[r#"
            y
            z
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/o,uid=3 stat -c '%a %u:%g' /f /f/f > /out && ls /f >> /out && touch /f/added",
        expect![[r#"
            711 0:0
            640 5:6
            d
            f
            l
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/o ls /f > /out",
        expect![[r#"
            added
            d
            f
            l
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/none,uid=3 stat -c '%a %u:%g' /f > /out && ls -A /f >> /out",
        expect![[r#"
            755 3:0
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/a --mount=target=/a/s --mount=type=tmpfs,target=/a/s2/deep cat /a/s/app.txt > /out && touch /a/s2/deep/x",
        expect![[r#"
            app
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/a find /a > /out",
        expect![[r#"
            /a
            layer: 
        "#]],
    );
}

#[test]
fn caches_in_the_cache_dir() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let bench = Bench::new();
    bench.dockerfile(
        "FROM BASE\nUSER app\nRUN --mount=type=cache,target=/var/c,uid=1000 --mount=type=cache,target=/var/c/../c2,uid=1000 echo x >> /var/c/x && cp /var/c/x /tmp/out\n",
    );
    let image = bench.path("image");
    let mut container = bench.container(&image);
    container.volume(&bench.path("cache"), "/cache", false);
    for want in ["x\n", "x\nx\n"] {
        // A new container each time, as in a cluster.
        bench.in_container(&container, &[]).succeeded();
        assert_eq!(bench.image("container").text("tmp/out"), want);
    }
    assert!(bench.path("cache/mounts").is_dir());
}
