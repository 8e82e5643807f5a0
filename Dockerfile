# The tap, Meltano and the loader for PostgreSQL, in the versions that the tests use.
FROM python:3.11-slim AS build
ENV PREFIX=/opt/acumatica UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /source
COPY . .
RUN python -m venv /tmp/uv && /tmp/uv/bin/pip install --quiet --constraint constraints.txt uv
# Each in an environment of its own, since their dependencies conflict.
RUN /tmp/uv/bin/uv venv --quiet "$PREFIX/meltano"
RUN /tmp/uv/bin/uv pip install --quiet --python "$PREFIX/meltano/bin/python" --requirement constraints-meltano.txt
RUN /tmp/uv/bin/uv build --quiet --wheel --out-dir "$PREFIX/dist"
RUN mkdir "$PREFIX/project" && cp examples/airflow/shard.py examples/airflow/tenants.json "$PREFIX/project"
RUN sed 's/pip_url: -e \./pip_url: tap-acumatica/' meltano.yml > "$PREFIX/project/meltano.yml"
# The wheel that has just been built, whatever an index has.
RUN echo "tap-acumatica @ file://$(echo "$PREFIX"/dist/*.whl)" > "$PREFIX/tap.txt"
RUN cd "$PREFIX/project" && UV_CONSTRAINT="/source/constraints.txt $PREFIX/tap.txt" \
    "$PREFIX/meltano/bin/meltano" install extractor tap-acumatica
RUN cd "$PREFIX/project" && UV_CONSTRAINT=/source/warehouse/pins/meltanolabs-target-postgres.txt \
    "$PREFIX/meltano/bin/meltano" install loader target-postgres
RUN ln -s "$PREFIX/project/.meltano/extractors/tap-acumatica/venv/bin/tap-acumatica" "$PREFIX/meltano/bin"

FROM python:3.11-slim
ENV PREFIX=/opt/acumatica
ENV PATH=$PREFIX/meltano/bin:$PATH MELTANO_PROJECT_ROOT=$PREFIX/project MELTANO_AUTO_INSTALL=false
RUN useradd --uid 10001 --user-group --create-home acumatica
# Meltano writes its database and its logs there.
COPY --from=build --chown=10001:10001 $PREFIX $PREFIX
USER 10001:10001
WORKDIR $PREFIX/project
ENTRYPOINT ["meltano"]
CMD ["--help"]
