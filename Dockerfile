# stockapi in a container. The web process is the command; the worker is the same image with `python -m workers`.
# Data is in /data. compose.yaml starts both; docs/deployment.md says more.

# The Python that the tests run with. For builds that are the same for ever, name a digest: PYTHON=3.11-slim-bookworm@sha256:...
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS packages
COPY requirements.txt constraints.txt /build/
# Only wheels: nothing is compiled, and no package runs code of its own here.
RUN python -m venv --without-pip /opt/stockapi \
 && python -m pip --python /opt/stockapi/bin/python install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --requirement /build/requirements.txt --constraint /build/constraints.txt

FROM python:${PYTHON}
RUN groupadd --gid 10001 stockapi \
 && useradd --uid 10001 --gid stockapi --home-dir /data --no-create-home --shell /usr/sbin/nologin stockapi \
 && install --directory --owner stockapi --group stockapi --mode 0750 /data
COPY --from=packages /opt/stockapi /opt/stockapi
WORKDIR /srv/stockapi
COPY app.py gunicorn.conf.py ./
COPY migrations migrations/
COPY stockapi stockapi/
COPY workers workers/
# Compiled here, since the process itself may not write beside the code.
RUN ["/opt/stockapi/bin/python", "-m", "compileall", "-q", "app.py", "stockapi", "workers"]

ENV PATH=/opt/stockapi/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLASK_SKIP_DOTENV=1 \
    VN_DATABASE_PATH=/data/vn_data.db \
    CRYPTO_DATABASE_PATH=/data/crypto_data.db \
    MARKET_DATA_DIR=/data/market_data \
    CRYPTO_DATA_DIR=/data/crypto_data
# By its number, so that a cluster can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '3000') + '/livez', timeout=2)"]
CMD ["gunicorn", "app:app"]
