//! Decisions where specifications are silent, where builders disagree, or where a usual choice was not taken. Documentation only.
//!
//! # Packages that were asked for and do another job
//!
//! **`oci-client`** does not carry the registry protocol here. Read in version 0.18: its HTTP client is private, so there is no mTLS, no
//! HTTP/1.1 switch and no redirect policy; errors carry no headers, so a `Retry-After` (with which Docker Hub answers a manifest request)
//! cannot be honoured, and nothing is retried; identity tokens are unknown; a token for a cross-repository mount covers the target only;
//! any `realm` is sent the password, even over plain HTTP for an HTTPS registry; a push by digest, and a relative `Location` without a
//! slash, panic. It stays as a development dependency: the independent client that pulls back what was pushed.
//!
//! **`dockerfile-parser`** does not parse the Dockerfile. It is deprecated by its owner, knows no heredocs and no instruction flags, and
//! refuses 49 of 591 Dockerfiles collected from public repositories. It stays as the oracle of a differential test where both must agree.
//!
//! **`tar`** provides `Header` and `EntryType`. Its PAX records are split at newlines, so an extended attribute with a newline makes an
//! archive go out of step; long names are read without a limit; a source shorter than its header is written without an error. The loops
//! around the headers are ours ([`crate::layer`]).
//!
//! **`git2`** takes packs apart and writes files, but does not speak to servers. Its own https needs OpenSSL (minutes to build, several megabytes,
//! and it ignores certificates in `SSL_CERT_DIR` that have no hashed names), replacing a transport is `unsafe`, and it knows version 0 of the
//! protocol only, in which a commit can be asked for only where the server offers it. Version 2 is a few lines of text over the HTTP client
//! that is there anyway, with its certificates, proxies and retries.
//!
//! **`russh`** brings git's protocol through ssh, in the place of an `ssh` program that our image would need a system for. Of its
//! `rsa` feature only signatures of servers are checked with, as some hosters have no host key of another kind: its package leaks private keys
//! through timing (RUSTSEC-2023-0071), so RSA keys of ours sign with `ring`. Its own reading of known hosts knows no patterns, no markers, and no
//! revoked keys; ours does.
//!
//! **`clap`** does not parse the command line, but describes it. Scripts see what kaniko's parser (pflag) accepts and says: booleans that take a value only after
//! `=`, groups of short flags that end in a value, scalar flags given twice, `unknown flag: --x` and the whole usage after it. With clap each
//! of these is a setting, a custom parser or a rewritten message; a table and 200 lines say it directly, and the same table holds which flags
//! work, which already hold by design and which are refused. Completion scripts and the manual page are clap's: `cli::manual` describes the same
//! table to it, so that nothing is declared twice.
//!
//! **`walkdir`** walks trees in the tests. A root is walked relative to directory handles ([`crate::rootfs::walk`]), because paths may lead
//! elsewhere while a command runs in place.
//!
//! **`reqsign`** takes AWS keys and Google tokens from services and files, and signs requests; its HTTP, files, variables and programs are
//! ours ([`crate::cloud::surroundings`]), so proxies, certificates and time limits hold. Its chains of sources are not used, because they pass
//! over one that fails; its profiles neither, because they know no roles. Azure's registries want tokens that it cannot ask for. Its service
//! account keys are signed with `rsa`, whose timing is a concern for servers that decrypt for strangers, not for one signature of our own.
//!
//! # Copying
//!
//! COPY hashes content while it writes it into the root, and the layer is read from there. Without reflinks: a clone shares blocks, not cached
//! pages, so what was just read from the source is read from the disk again for the layer. Of 1 GB in memory (xfs, three runs), writing it and
//! reading it back took 3.6 s twice, and 18.6 s once; cloning it and reading the clone 7.3 to 9.4 s, for 0.2 s less processor time, where
//! compression takes 17 s. A clone would win where the source is not in memory (6.1 to 10.1 s, and 8.1 to 14.4 s by writing), which that of a
//! build mostly is: it was just fetched, unpacked or built. `copy_file_range` without clones (ext4) took what reading and writing take, as
//! the bytes must be read for the hash anyway.
//!
//! Nor are root and layer written in one go: a layer wants its paths in order, with the last word on owners, modes and links, which COPY has when
//! all its sources are in place. To read a second time takes 0.1 s of 1.8 s processor time for 20,000 files of 3 kB, and about 0.3 s of 18 s
//! for a file of 1 GB; the bytes are in memory and are not hashed again.
//!
//! # Named contexts
//!
//! A stage that starts from a directory, an archive or a repository (`--build-context`) is an empty stage with one step in front, a copy of
//! everything. BuildKit gives such a layer a history entry at the end of the list, where it no longer stands beside its layer; here it comes
//! first, with BuildKit's words `local source for context:NAME`. Files of directories and repositories belong to root, those of archives to
//! whom the archive says. Contexts are opened if a needed stage reads them, all before the first step.
//!
//! # Stages side by side
//!
//! Stages that do not wait for each other are built at the same time, one a processor unless the control group has less than a gigabyte of
//! memory for each: what their commands take is not ours to know. Not in place, where commands see one `/` and whatever opens a path
//! meanwhile sees what they see. The first error in time is the build's, and ends the commands of the other stages. Lines of commands
//! that print at the same time have their stage in front of them; the rest of the log is not reordered, because waiting for it would hide
//! what a build is doing.
//!
//! # Outputs
//!
//! `--output` is BuildKit's, and speaks of where, not of what: how layers are compressed, which media types an image has and what its
//! annotations are holds for all outputs of a build, so attributes that would say it of one are refused with the flag that says it of all. An
//! image that goes nowhere but into `type=oci` is an OCI image unless `--image-format` says otherwise, as nobody would expect another there.
//! Files of `type=local` belong to whoever builds, and come on top of what the directory has; nothing there is deleted. An archive on standard
//! output has it alone: what commands print goes to standard error. SBOM and provenance lie beside the files as statements about them, with
//! BuildKit's names; an image that has such a file itself is an error rather than one without it. `type=docker` holds one image, as BuildKit's
//! does, and with `tar=false` is a layout whose image has Docker's media types.
//!
//! # Caches that are carried
//!
//! `executor cache-mount` writes caches as an image with a layer for each, so that every registry can keep them, equal layers are not pushed
//! again, and what checks images checks them. The descriptor says which cache a layer is: the name of its directory, which is a hash, and
//! beside it the id. An import replaces a cache as a whole, while nobody uses it; files of two machines are never mixed. What `sharing=private`
//! made beside a cache in use is carried, too, so that the same stages find the same caches.
//!
//! # Checks that depend on the platform
//!
//! `InvalidDefaultArgInFrom` judges a name with the automatic args of this build, as BuildKit does: `FROM x:$TARGETVARIANT` has a tag for
//! linux/arm/v7 and none for linux/amd64, so it is right for one and wrong for the other. Nothing that is only likely is assumed; of several
//! platforms each is looked at, and what is said of more than one is said once.
//!
//! # Files called `.wh.`
//!
//! A file of that name, from an archive, a context or a command, is a file in its stage like any other (language spec TAR-5), and other stages
//! can copy and rename it. A layer cannot say so: an entry of that name deletes its sibling wherever the image is unpacked. BuildKit writes such
//! layers, so that what a later command saw and what the image has are different things; here the layer is refused, with the name.
//!
//! # The binary
//!
//! Static on glibc (`+crt-static`) where no musl target is installed; the same source serves both. Names of hosts are resolved by
//! `hickory`, users and groups by reading the image's own files: nothing asks NSS, which a static glibc could not load. System roots are read
//! from `SSL_CERT_FILE`, `SSL_CERT_DIR` or the usual places when the program starts.
//!
//! Memory is `mimalloc`'s, as musl's own allocator is slow, and it is built not to ask the kernel for huge pages: they are resident as a whole
//! once a byte of them is touched, which made the reference build peak at 76 to 79 MiB instead of 43, and saved no time that could be
//! measured. Where the kernel gives them unasked (`transparent_hugepage/enabled` is `always`) the process refuses them, and the commands of a
//! `RUN`, which would inherit that, get them back.
//!
//! # The executor's image
//!
//! It ships nothing at `/kaniko/.docker` and `/etc`: a directory that the container runtime makes for a mount lies in the container's upper
//! layer and can be moved out of a RUN's way, with the mount; one that came with the image cannot (`EXDEV`). The `debug` image does ship
//! `/kaniko/.docker`, because CI scripts write their `config.json` into it.
//!
//! # The cache directory
//!
//! `--cache-dir` holds bytes by digest and no names: what a tag points to is asked of the registry each time (one `HEAD`, which public
//! registries do not count), so nothing there can be out of date and `--cache-ttl` has nothing to say about it. It does for entries of kaniko's
//! warmer, where it is part of their meaning. A blob is hashed before the first byte of it is used, not while: a root that was filled from a
//! damaged layer could not be healed any more. What that costs is one more read of a file that is about to be read anyway; the hash that is
//! otherwise computed while reading is not computed twice.
//!
//! # The layer cache and what others do to it
//!
//! An entry is believed if its documents have the right digests, name its key, and its blob is there in the right length; in a directory
//! (`oci:DIR`) the blob is read and hashed as well. A layer that something must stand on is read and hashed, blob and tar, before any work
//! begins. One that nothing stands on is only pointed at: where image and cache share a registry its blob is mounted, or is there already, and
//! not a byte of it is seen. A blob of the right length whose bytes were changed in the registry's storage therefore goes unnoticed in a build
//! that is wholly cached. Looking would mean to download every layer of every such build, and nothing wrong can come of it: whoever pulls
//! the image compares digests and refuses the blob, as he would with an image that was pushed a year ago. Where bytes must move (another
//! registry, a tarball, a layout) they are read at the end; if one of the layers is damaged or gone by then, it counts as not found, and
//! what is missing is built once more.
//!
//! What was seen to be damaged is not taken for present any more: it is uploaded whatever the registry says to have, not mounted, and read
//! back afterwards. `docker-registry` keeps the old bytes, because it has the digest already, and answers 201 all the same. There a layer
//! that comes out with the same bytes cannot be healed from outside: it is not cached (a warning), and an image with it is not pushed
//! (an error), since nobody could pull it. Layers that hold the time of their making come out differently and are not affected; others
//! do with another `--compression-level`. To do that unasked was considered: the image would no longer be the one that is built elsewhere.
//!
//! Times of files are in no key, with one exception: under `SOURCE_DATE_EPOCH` a copy keeps times before it, so that they are in the
//! layer and hence in the key. Without it, a cached layer shows the times of the build that made it.
//!
//! Keys say what files were when they were hashed; should they change before they are copied, the layer would be stored under the key of
//! something else, for good. Inode, length and time of change of what a step reads from a context are compared once it is done, and if they
//! are not the same, nothing more is stored by this build.
//!
//! # Git contexts
//!
//! `git://` means https, as kaniko has it, and `user@host:path` means ssh although kaniko would look for a directory of that name; written
//! `./user@host:path` it still is one. Keys, known hosts and `config` are looked for in `$HOME/.ssh` and then in `/root/.ssh`: `ssh` itself
//! goes by the user's entry in `/etc/passwd`, which a scratch image does not have, and Tekton sets another `HOME`. Permissions of key
//! files are not looked at, because a mounted secret cannot always have 0600. A setting that leads the connection elsewhere (`ProxyJump`) is
//! refused, and so is an option of `GIT_SSH_COMMAND` that is not known; other keywords of `config` are left aside, as they are not about builds.
//!
//! The server is asked for the second version of git's protocol. Where it answers in the old one (an OpenSSH server does not let
//! `GIT_PROTOCOL` through unless told to), a commit that is no branch's or tag's end may not be asked for; then all branches and tags come, with
//! their whole history.
//!
//! # Certificates
//!
//! `--skip-tls-verify`, `--registry-certificate` and their kin are about registries, as their names and kaniko's help say: contexts, Dockerfiles
//! and `ADD` from web servers trust what the system does, and a private authority is made known by `SSL_CERT_FILE` or `SSL_CERT_DIR`. A
//! build that turns the check off for one registry must not take files from anywhere. For git repositories there is kaniko's own
//! `--git insecure-skip-tls=true`.
//!
//! # Jobs in a cluster
//!
//! `executor job` checks its flags as a build would and passes them on in one spelling; what they take from this machine's environment (build
//! args) is filled in, and a context on this machine is refused. There is no image it could take for granted, so one must be named. The
//! Job's name is made of the arguments: the same command applied twice is one Job, another tag is another one, and an hour after its end it
//! is gone. Registry credentials are mounted as a file, which can be moved out of a RUN's way.
//!
//! For several platforms there is a Job for each, bound to nodes of its architecture, and one for the index. An indexed Job would have one node
//! selector for all its pods, and Jobs do not wait for each other, so the index's asks the registry until the images are there
//! (`executor index create --wait`). What it takes must be of this run: the images' tags end in a number that each printing draws anew, so
//! an image of an earlier run is never found under them. The set is therefore printed for each run and not kept. That a build failed shows in
//! its Job; the index's gives up after `--wait`, and the destination's tag stays what it was.
//!
//! A manifest is read by more people than a command line, so an address with credentials in it (`--context`, `--dockerfile`, `--build-context`) is
//! refused. For git there are `GIT_TOKEN` and its kin in a Secret (`--env-secret`); the address as a whole may be in one, too
//! (`--context-secret`).
//!
//! # Statements about images
//!
//! Packages are found by reading the layers, not a root: there may be none, if everything was cached, and a root has what mounts left in
//! it. Files are recognised by their paths alone. What cannot be understood is named in the SBOM and is no error, because it says
//! nothing of the image's being wrong. Licenses are what packages say of themselves, which is rarely an SPDX expression; so they
//! stand in comments.
//!
//! A provenance has BuildKit's form without what only BuildKit has, its graph of steps (`buildConfig`) and the layers by step. The
//! Dockerfile is in it with `mode=max`, without what stands behind names that say that it is a secret. Build args of such names are replaced, and
//! so is their value wherever else it stands; the request then counts as incomplete. Where times are fixed, the id of the invocation is made of what
//! went in and came out. ADD's sources are pinned before the build, so that what is told is what was used.
//!
//! An index is made only where something needs one, so images without statements keep their digests. An annotation of an index that does not
//! exist is refused, as BuildKit refuses it, rather than dropped.
