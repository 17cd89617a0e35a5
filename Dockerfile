# check=skip=SecretsUsedInArgOrEnv
# The executor's own container images. Targets: executor, debug, slim, warmer.
#
# With internet access:     docker build --target executor .
# Without, from a binary:   put `executor`, `ca-certificates.crt` and (but for slim) a static `busybox` into a folder of the context and pass
#                           --build-arg BINARY=prebuilt --build-arg BUSYBOX=prebuilt-busybox --build-arg PREBUILT=that/folder
ARG RUST_IMAGE=docker.io/library/rust:1-bookworm
ARG BUSYBOX_IMAGE=docker.io/library/busybox:1-musl
ARG BINARY=compiled
ARG BUSYBOX=official-busybox

FROM ${RUST_IMAGE} AS compiled
WORKDIR /src
COPY . .
RUN cargo build --release --locked --target-dir target \
 && mkdir /out \
 && cp target/*/release/executor /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch AS prebuilt
ARG PREBUILT=dist
COPY ${PREBUILT} /out/

FROM ${BINARY} AS binary

FROM ${BUSYBOX_IMAGE} AS official-busybox

FROM scratch AS prebuilt-busybox
ARG PREBUILT=dist
COPY --chmod=0755 ${PREBUILT}/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]

# The names under which config files ask for the credentials of clouds; under each of them the executor is that helper.
FROM ${BUSYBOX} AS helpers
RUN ["/bin/sh", "-c", "mkdir /out && cd /out && for name in acr-env ecr-login gcr; do ln -s executor docker-credential-$name; done"]

# What debug has on top. `/kaniko/.docker` exists because scripts write their config.json into it; they call the warmer, too.
FROM ${BUSYBOX} AS shell
RUN ["/bin/sh", "-c", "mkdir -p /out/bin /out/kaniko/.docker && cp -a /bin /out/busybox && ln -s /busybox/sh /out/bin/sh && ln -s executor /out/kaniko/warmer"]

# Directories with modes of their own: `COPY --chmod` gives its mode to those that it makes.
FROM scratch AS directories
WORKDIR /empty
WORKDIR /ssl/certs
COPY --from=binary --chmod=0644 /out/ca-certificates.crt ./

# Whoever the container is run as, work files go to the kaniko directory.
FROM scratch AS slim
COPY --from=directories --chmod=0777 /empty /kaniko
COPY --from=binary --chmod=0755 /out/executor /kaniko/executor
COPY --from=directories /ssl /kaniko/ssl
ENV HOME=/root \
    USER=root \
    PATH=/usr/local/bin:/kaniko \
    SSL_CERT_DIR=/kaniko/ssl/certs
ENTRYPOINT ["/kaniko/executor"]

# Ships nothing below `/kaniko/.docker` or `/etc`: what a runtime makes to mount something there can be moved out of a RUN's way, what came
# with the image cannot.
FROM slim AS executor
COPY --from=helpers /out/ /kaniko/
ENV DOCKER_CONFIG=/kaniko/.docker/ \
    DOCKER_CREDENTIAL_GCR_CONFIG=/kaniko/.config/gcloud/docker_credential_gcr_config.json
WORKDIR /workspace

# Puts base images into a directory that builds share.
FROM executor AS warmer
COPY --from=binary --chmod=0755 /out/executor /kaniko/warmer
ENTRYPOINT ["/kaniko/warmer"]

# A shell for CI systems that run a script in the container; a volume, so that no build can take it away.
FROM executor AS debug
COPY --from=shell /out/busybox /busybox
COPY --from=shell /out/bin /bin
COPY --from=shell /out/kaniko/ /kaniko/
ENV PATH=/usr/local/bin:/kaniko:/busybox
VOLUME /busybox
