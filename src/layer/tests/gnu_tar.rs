//! GNU tar as the judge.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use expect_test::expect;

use super::*;

fn gnu_tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar")
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn all_sparse_forms_of_gnu_tar() {
    let directory = tempfile::tempdir().unwrap();
    let mut want = vec![0; 3 << 20];
    for i in 0..30 {
        want[i * 100_000 + 7] = i as u8 + 1;
    }
    let long = "l".repeat(120);
    for name in ["sparse", &long] {
        let file = fs_err::File::create(directory.path().join(name)).unwrap();
        file.set_len(want.len() as u64).unwrap();
        for at in (0..want.len()).filter(|at| want[*at] != 0) {
            file.file().write_all_at(&want[at..=at], at as u64).unwrap();
        }
    }
    for form in [
        vec!["--format=gnu"],
        vec!["--format=posix", "--sparse-version=0.0"],
        vec!["--format=posix", "--sparse-version=0.1"],
        vec!["--format=posix", "--sparse-version=1.0"],
    ] {
        let tar = gnu_tar(
            directory.path(),
            &[&form[..], &["--hole-detection=raw", "-Sc", "sparse", &long]].concat(),
        );
        assert!(tar.len() < 1 << 20, "{form:?} is not sparse");
        let members = read(&tar).unwrap();
        assert_eq!(members[0].0.path.to_string(), "/sparse", "{form:?}");
        assert_eq!(members[1].0.path.as_bytes(), long.as_bytes(), "{form:?}");
        for (entry, content) in members {
            assert_eq!(entry.kind, Kind::File { size: 3 << 20 }, "{form:?}");
            assert!(content == want, "{form:?}");
        }
    }
}

#[test]
fn all_formats_of_gnu_tar() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs_err::create_dir(path.join("d")).unwrap();
    fs_err::write(path.join("d/file"), "content").unwrap();
    std::os::unix::fs::symlink("file", path.join("d/link")).unwrap();
    fs_err::hard_link(path.join("d/file"), path.join("d/other")).unwrap();
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let format = format!("--format={format}");
        let arguments = [
            "--sort=name",
            "--owner=:2000000",
            "--numeric-owner",
            "--mtime=@1000000000.5",
        ];
        let tar = gnu_tar(
            path,
            &[
                &arguments[..],
                &["--group=:6", "--mode=u=rwX,go=", "-c", &format, "d"],
            ]
            .concat(),
        );
        let got = listing(&read(&tar).unwrap()).replace(".500000000", "");
        expect![[r#"
            /d 0700 2000000:6 1000000000 d 
            /d/file 0600 2000000:6 1000000000 f 7 content
            /d/link 0700 2000000:6 1000000000 l file 
            /d/other 0600 2000000:6 1000000000 h /d/file 
        "#]]
        .assert_eq(&got);
    }
}

#[test]
fn gnu_tar_lists_what_is_written() {
    let mut writer = Writer::new(Vec::new());
    let mut file = entry("dir/file", Kind::File { size: 4 });
    file.uid = 4_000_000_000;
    file.mode = 0o4755;
    file.xattrs.insert(b"user.x".to_vec(), b"a\nb".to_vec());
    let long = format!("{}/{}", "p".repeat(90), "n".repeat(90));
    let longer = "x".repeat(200);
    for (entry, content) in [
        (entry("dir", Kind::Directory), ""),
        (file, "text"),
        (
            entry(
                "dir/hard",
                Kind::HardLink {
                    target: LayerPath::clean("dir/file"),
                },
            ),
            "",
        ),
        (
            entry(
                "dir/soft",
                Kind::Symlink {
                    target: "../ü".into(),
                },
            ),
            "",
        ),
        (entry("null", Kind::CharDevice { major: 1, minor: 3 }), ""),
        (
            entry(
                "loop",
                Kind::BlockDevice {
                    major: 7,
                    minor: 200_000,
                },
            ),
            "",
        ),
        (entry("pipe", Kind::Fifo), ""),
        (entry(&long, Kind::File { size: 0 }), ""),
        (entry(&longer, Kind::Directory), ""),
    ] {
        writer.append(&entry, &mut content.as_bytes()).unwrap();
    }
    writer
        .append_whiteout(&LayerPath::clean("dir/gone"))
        .unwrap();
    let tar = writer.finish().unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("t"), &tar).unwrap();
    let list = gnu_tar(directory.path(), &["--numeric-owner", "--utc", "-tvf", "t"]);
    let list = String::from_utf8(list).unwrap();
    let list = list.replace(&long, "<long>").replace(&longer, "<longer>");
    expect![[r#"
        drw-r--r-- 0/0               0 2001-09-09 01:46 dir/
        -rwsr-xr-x 4000000000/0      4 2001-09-09 01:46 dir/file
        hrw-r--r-- 0/0               0 2001-09-09 01:46 dir/hard link to dir/file
        lrw-r--r-- 0/0               0 2001-09-09 01:46 dir/soft -> ../ü
        crw-r--r-- 0/0             1,3 2001-09-09 01:46 null
        brw-r--r-- 0/0        7,200000 2001-09-09 01:46 loop
        prw-r--r-- 0/0               0 2001-09-09 01:46 pipe
        -rw-r--r-- 0/0               0 2001-09-09 01:46 <long>
        drw-r--r-- 0/0               0 2001-09-09 01:46 <longer>/
        ---------- 0/0               0 1970-01-01 00:00 dir/.wh.gone
    "#]]
    .assert_eq(&list);
}
