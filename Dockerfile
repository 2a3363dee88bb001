# A Docker Space: user 1000, port 7860, CPU builds of torch.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH \
    HF_HOME=/home/user/.cache/huggingface \
    REPLORA_DATA=/home/user/data \
    REPLORA_DOWNLOADS=suggested \
    REPLORA_DELETE_RUNS=false \
    PYTHONUNBUFFERED=1

COPY --chown=user requirements.txt ./
RUN pip install --no-cache-dir --user --index-url https://download.pytorch.org/whl/cpu \
    "torch>=2.14,<2.16" "torchvision>=0.29" && \
    pip install --no-cache-dir --user -r requirements.txt

COPY --chown=user . .

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.port=7860", "--server.address=0.0.0.0", "--server.headless=true"]
