# The core, and the example from file to ranking:
#   docker build -t traitcast . && docker run --rm traitcast
# On data of your own:
#   docker run --rm -v "$PWD:/data" -w /data traitcast traitcast profile my.jsonl
FROM python:3.12-slim
RUN pip install --no-cache-dir uv
WORKDIR /traitcast
COPY . .
RUN uv pip install --system --no-cache . xgboost-cpu --overrides lean.txt
CMD ["sh", "examples/demo.sh"]
