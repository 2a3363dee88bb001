# A Docker Space: user 1000, port 7860. TORCH=cpu or cuda chooses the builds of torch. See docs/hosting.md.
FROM python:3.12.13-slim-trixie@sha256:229a2c5bfa27522db7815ea81f9bed70af17ccb9de9fc7ad142b1877b5830d36

RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH \
    HF_HOME=/home/user/.cache/huggingface \
    REPLORA_DATA=/home/user/data \
    REPLORA_DOWNLOADS=suggested \
    FORWARDED_ALLOW_IPS=127.0.0.1,10.0.0.0/8 \
    STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION=false \
    PYTHONUNBUFFERED=1

ARG TORCH=cpu
COPY requirements.lock requirements-torch-*.lock ./
RUN if [ "$TORCH" = cpu ]; then set -- --index-url https://download.pytorch.org/whl/cpu; fi && \
    pip install --no-cache-dir --user --no-deps --require-hashes "$@" -r "requirements-torch-$TORCH.lock" && \
    pip install --no-cache-dir --user --no-deps --require-hashes -r requirements.lock

COPY --chown=user . .

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.port=7860", "--server.address=0.0.0.0", "--server.headless=true"]
