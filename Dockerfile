# The executor's own container images. Targets: executor, debug, slim.
#
# With internet access:     docker build --target executor .
# Without, from a binary:   put `executor` and `ca-certificates.crt` (and, for debug, a static `busybox`) into a folder of the context and pass
#                           --build-arg BINARY=prebuilt --build-arg BUSYBOX=prebuilt-busybox --build-arg PREBUILT=that/folder
ARG RUST_IMAGE=docker.io/library/rust:1-bookworm
ARG BUSYBOX_IMAGE=docker.io/library/busybox:1-musl
ARG BINARY=compiled
ARG BUSYBOX=official-busybox

FROM ${RUST_IMAGE} AS compiled
WORKDIR /src
COPY . .
RUN cargo build --release --locked \
 && mkdir /out \
 && cp target/*/release/executor /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch AS prebuilt
ARG PREBUILT=dist
COPY ${PREBUILT} /out/

FROM ${BINARY} AS binary

FROM ${BUSYBOX_IMAGE} AS official-busybox

FROM scratch AS prebuilt-busybox
ARG PREBUILT=dist
COPY ${PREBUILT}/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]

FROM ${BUSYBOX} AS busybox

FROM scratch AS slim
COPY --from=binary --chmod=0755 /out/executor /kaniko/executor
COPY --from=binary --chmod=0644 /out/ca-certificates.crt /kaniko/ssl/certs/ca-certificates.crt
ENV HOME=/root \
    USER=root \
    PATH=/usr/local/bin:/kaniko \
    SSL_CERT_DIR=/kaniko/ssl/certs
ENTRYPOINT ["/kaniko/executor"]

# Ships nothing at a path where a Secret or a workspace is mounted: a directory that the runtime makes can be moved out of a RUN's way, one that
# came with the image cannot.
FROM slim AS executor
ENV DOCKER_CONFIG=/kaniko/.docker/
WORKDIR /workspace

# A shell for CI systems that run a script in the container. `/kaniko/.docker` exists because such scripts write their config.json into it.
FROM executor AS debug
COPY --from=busybox /bin /busybox
RUN ["/busybox/sh", "-c", "/busybox/mkdir -p /bin /kaniko/.docker && /busybox/ln -s /busybox/sh /bin/sh"]
ENV PATH=/usr/local/bin:/kaniko:/busybox
VOLUME /busybox
