//! The main job: a Dockerfile in, an image in a registry out.

use expect_test::expect;

use crate::support::{Image, Registry, Sandbox, requires};

#[test]
fn copy_into_scratch() {
    let t = Sandbox::new();
    t.file("app.sh", 0o755, "#!/bin/sh\n");
    t.dockerfile("FROM scratch\nCOPY --chown=7:8 app.sh /app.sh\n");
    let image = t.build_and_pull("app", [""; 0]);
    expect!["f 0755 7:8 10 app.sh\n"].assert_eq(&image.layer(0));
    assert_eq!(
        image.history(),
        ["COPY --chown=7:8 app.sh /app.sh # buildkit"]
    );
    assert_eq!(
        t.kaniko_dir(),
        "",
        "a finished build leaves nothing in the kaniko dir"
    );
}

#[test]
fn config_and_history_are_buildkits() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nARG VER=1 OPT\nENV A=1 B=\"x y\"\nWORKDIR /srv\nRUN echo $VER > /ver\nCMD echo \"hi there\"\nENTRYPOINT [\"/bin/sh\", \"-c\"]\n\
         EXPOSE 80 443/UDP\nLABEL l=<1>\nVOLUME /data\nUSER app\nSTOPSIGNAL TERM\nHEALTHCHECK --interval=5s CMD true\nONBUILD RUN x\nMAINTAINER Bob\n"
    ));
    let image = t.build_and_pull("app", ["--label", "from=flag"]);
    expect![[r#"
        RUN |2 VER=1 OPT= /bin/sh -c echo $VER > /ver # buildkit
        (empty) CMD ["/bin/sh" "-c" "echo \"hi there\""]
        (empty) ENTRYPOINT ["/bin/sh" "-c"]
        (empty) EXPOSE [443/udp 80/tcp]
        (empty) LABEL l=<1>
        (empty) VOLUME [/data]
        (empty) USER app
        (empty) STOPSIGNAL TERM
        (empty) HEALTHCHECK {Test:[CMD-SHELL true] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}
        (empty) MAINTAINER Bob
    "#]]
    .assert_eq(&lines(&image.history()[image.history().len() - 10..]));
    expect![[r#"
        {
          "ArgsEscaped": true,
          "Cmd": [
            "/bin/sh",
            "-c",
            "echo \"hi there\""
          ],
          "Entrypoint": [
            "/bin/sh",
            "-c"
          ],
          "Env": [
            "PATH=/bin:/usr/bin",
            "A=1",
            "B=x y"
          ],
          "ExposedPorts": {
            "443/udp": {},
            "80/tcp": {}
          },
          "Healthcheck": {
            "Interval": 5000000000,
            "Test": [
              "CMD-SHELL",
              "true"
            ]
          },
          "Labels": {
            "from": "flag",
            "l": "<1>"
          },
          "OnBuild": [
            "RUN x"
          ],
          "StopSignal": "TERM",
          "User": "app",
          "Volumes": {
            "/data": {}
          },
          "WorkingDir": "/srv"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&image.config["config"]).unwrap());
    assert_eq!(image.config["author"], "Bob");
    assert_eq!(image.text("ver"), "1\n");
}

#[test]
fn a_run_ships_what_it_changed() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\n\
         RUN mkdir -p /d/sub && echo one > /d/one && echo two > /d/sub/two && ln /d/one /d/linked && ln -s one /d/soft && mkfifo /d/pipe && chmod 4755 /d/sub/two\n\
         RUN echo 1 > /d/one && rm -r /d/sub && chown 1000:1001 /d/soft -h\n\
         RUN chown -R 0:0 /bin /etc && true\n\
         RUN touch -d @1 /d/pipe\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    let first = image.layer_count() - 4;
    expect![[r#"
        d 0755 0:0 d/
        f 0644 0:0 4 d/linked
        h 0644 0:0 d/one = d/linked
        p 0644 0:0 d/pipe
        l 0777 0:0 d/soft -> one
        d 0755 0:0 d/sub/
        f 4755 0:0 4 d/sub/two
    "#]]
    .assert_eq(&image.layer(first));
    expect![[r#"
        d 0755 0:0 d/
        f 0644 0:0 2 d/linked
        h 0644 0:0 d/one = d/linked
        l 0777 1000:1001 d/soft -> one
        f 0000 0:0 0 d/.wh.sub
    "#]]
    .assert_eq(&image.layer(first + 1));
    assert_eq!(image.layer(first + 2), "", "nothing changed");
    expect![[r#"
        d 0755 0:0 d/
        p 0644 0:0 d/pipe
    "#]]
    .assert_eq(&image.layer(first + 3));
    assert_eq!(image.text("d/linked"), "1\n");
}

#[test]
fn stages_copy_from_each_other() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("src/main.txt", 0o644, "source\n");
    t.dockerfile(&format!(
        "FROM {base} AS builder\nCOPY src /src\nRUN cp /src/main.txt /out.txt && chown app:app /out.txt\n\
         FROM {base} AS unused\nRUN false\n\
         FROM {base} AS middle\nENV M=1\nRUN echo middle > /middle\n\
         FROM middle\nCOPY --from=builder /out.txt /copied/\nCOPY --from=0 /src /again\nCOPY --from={base} /etc/passwd /other/passwd\nRUN cat /copied/out.txt /middle > /both\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(image.text("both"), "source\nmiddle\n");
    assert!(
        image.tree("copied").contains("f 0644 1000:1001 7 "),
        "{}",
        image.tree("copied")
    );
    assert_eq!(image.text("again/main.txt"), "source\n");
    assert!(image.text("other/passwd").starts_with("root:"));
    assert!(
        image.config["config"]["Env"]
            .as_array()
            .unwrap()
            .contains(&"M=1".into())
    );
    let target = t.build_and_pull("middle", ["--target", "middle"]);
    assert_eq!(target.text("middle"), "middle\n");
    assert!(!target.unpack().join("both").exists());
}

#[test]
fn a_run_has_its_user_environment_and_directory() {
    requires!(root);
    let mut t = Sandbox::new();
    t.env("EXECUTORS_OWN", "secret");
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nARG ARGUMENT=a\nENV KEPT=k\nUSER app\nWORKDIR /home/app/work\n\
         RUN (id; pwd; env | sort; umask; cat; ls -ld .) > report 2>&1\n\
         USER app:extra\nRUN id > group\nUSER 77\nWORKDIR /\nRUN [\"/bin/sh\", \"-c\", \"(id; echo $HOME) > /tmp/report\"]\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    let report = image.text("home/app/work/report");
    let report: Vec<&str> = report.lines().filter(|l| !l.starts_with("drwx")).collect();
    expect![[r#"
        uid=1000(app) gid=1001(app) groups=1001(app),1002(extra)
        /home/app/work
        ARGUMENT=a
        HOME=/home/app
        KEPT=k
        PATH=/bin:/usr/bin
        PWD=/home/app/work
        SHLVL=1
        0022
    "#]]
    .assert_eq(&lines(&report));
    assert!(
        image.tree("home/app").contains("d 0755 1000:1001 work/"),
        "{}",
        image.tree("home/app")
    );
    assert_eq!(
        image.text("home/app/work/group"),
        "uid=1000(app) gid=1002(extra) groups=1002(extra)\n"
    );
    assert_eq!(
        image.text("tmp/report"),
        "uid=77 gid=0(root) groups=0(root)\n/\n"
    );
}

#[test]
fn heredocs_reach_the_shell_and_the_file() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nENV V=1\nRUN <<EOF\necho first > /a\necho \"$V\" >> /a\nEOF\nRUN <<EOF\n#!/bin/cat\nthis prints itself\nEOF\n\
         RUN cat <<A > /b && cat <<\"B\" >> /b\n$V\nA\n$V\nB\nCOPY <<file <<\"raw\" /copied/\nv=$V\nfile\nv=$V\nraw\n"
    ));
    let tag = t.tag("app");
    let finished = t.build(["--destination", &tag]).succeeded();
    assert!(
        finished.stdout.contains("#!/bin/cat\nthis prints itself\n"),
        "{finished}"
    );
    let image = Image::pull(&t.registry, &tag);
    assert_eq!(image.text("a"), "first\n1\n");
    assert_eq!(image.text("b"), "1\n$V\n");
    assert_eq!(image.text("copied/file"), "v=1\n");
    assert_eq!(image.text("copied/raw"), "v=$V\n");
    assert!(!image.unpack().join("dev/pipes").exists());
}

#[test]
fn triggers_of_the_base_run_in_the_child() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {base}\nONBUILD COPY f /from-trigger\nONBUILD RUN echo ran > /ran\n"
    ));
    t.build_and_pull("parent", [""; 0]);
    t.dockerfile(&format!(
        "FROM {}\nRUN cat /from-trigger /ran > /both\n",
        t.tag("parent")
    ));
    let image = t.build_and_pull("child", [""; 0]);
    assert_eq!(image.text("both"), "f\nran\n");
    assert!(image.config["config"]["OnBuild"].is_null());
}

#[test]
fn the_ignore_file_hides_what_it_names() {
    let t = Sandbox::new();
    t.file("keep/a.txt", 0o644, "a");
    t.file("keep/b.md", 0o644, "b");
    t.file("drop/c.txt", 0o644, "c");
    t.file(
        ".dockerignore",
        0o644,
        "**/*.md\ndrop\n.dockerignore\nDockerfile\n",
    );
    t.dockerfile("FROM scratch\nCOPY . /\n");
    let image = t.build_and_pull("app", [""; 0]);
    expect!["d 0755 0:0 keep/\nf 0644 0:0 1 keep/a.txt\n"].assert_eq(&image.layer(0));
    t.dockerfile("FROM scratch\nCOPY drop/c.txt /\n");
    t.build(["--no-push"])
        .failed(1, "\"/drop/c.txt\": not found");
}

#[test]
fn equal_inputs_give_equal_digests() {
    requires!(root);
    let mut t = Sandbox::new();
    let base = t.base();
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {base}\nCOPY f /f\nRUN echo x > /x && mkdir /y\nWORKDIR /z\n"
    ));
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    let first = t.build_and_pull("one", [""; 0]);
    let second = t.build_and_pull("two", [""; 0]);
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.config["created"], "2001-09-09T01:46:40Z");
}

#[test]
fn base_layers_arrive_byte_for_byte() {
    let t = Sandbox::new();
    let base = t.base();
    let original = Image::pull(&t.registry, &base);
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!("FROM {base}\nCOPY f /f\n"));
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(
        image.manifest["layers"][0]["digest"],
        original.manifest["layers"][0]["digest"]
    );
    assert_eq!(
        image.config["rootfs"]["diff_ids"][0],
        original.config["rootfs"]["diff_ids"][0]
    );
    let elsewhere = Sandbox::new();
    elsewhere.dockerfile(&format!("FROM {base}\nENV A=1\n"));
    let image = elsewhere.build_and_pull("app", [""; 0]);
    assert_eq!(
        image.manifest["layers"][0]["digest"],
        original.manifest["layers"][0]["digest"]
    );
}

#[test]
fn pushes_where_a_password_or_a_private_ca_is_needed() {
    let mut t = Sandbox::with(Registry::tls());
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let tag = t.tag("app");
    t.build(["--destination", &tag])
        .failed(1, "error checking push permissions");
    let certificate = format!("{}={}", t.registry.host(), t.registry.ca().display());
    let refused = t.build([
        "--destination",
        &tag,
        "--registry-certificate",
        &certificate,
    ]);
    refused.failed(1, "error checking push permissions");
    fs_err::create_dir(t.path("docker")).unwrap();
    fs_err::write(t.path("docker/config.json"), t.registry.docker_config()).unwrap();
    t.env("DOCKER_CONFIG", t.path("docker"));
    let image = t.build_and_pull("app", ["--registry-certificate", &certificate]);
    assert_eq!(image.layer_count(), 1);
    t.build(["--destination", &tag, "--skip-tls-verify"])
        .succeeded();
    let host = t.registry.host();
    t.build(["--destination", &tag, "--skip-tls-verify-registry", &host])
        .succeeded();
}

#[test]
fn pushes_where_a_token_is_needed() {
    let mut t = Sandbox::with(Registry::token_auth());
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    t.build(["--destination", &t.tag("app")])
        .failed(1, "error checking push permissions");
    fs_err::create_dir(t.path("docker")).unwrap();
    fs_err::write(t.path("docker/config.json"), t.registry.docker_config()).unwrap();
    t.env("DOCKER_CONFIG", t.path("docker"));
    let base = t.build_and_pull("base", [""; 0]);
    t.dockerfile(&format!("FROM {}\nLABEL a=b\n", t.tag("base")));
    let image = t.build_and_pull("other/app", [""; 0]);
    assert_eq!(image.manifest["layers"], base.manifest["layers"]);
}

fn lines(lines: &[impl AsRef<str>]) -> String {
    lines
        .iter()
        .map(|line| format!("{}\n", line.as_ref()))
        .collect()
}
