-- A store of schema 1 as pg_dump writes it, less what depends on the server.
CREATE TABLE public.logits (
    key text NOT NULL,
    shape text NOT NULL,
    data bytea NOT NULL,
    created text NOT NULL
);
CREATE TABLE public.meta (
    key text NOT NULL,
    value integer NOT NULL
);
CREATE TABLE public.trials (
    key text NOT NULL,
    spec text NOT NULL,
    recipe text NOT NULL,
    seed bigint NOT NULL,
    data text NOT NULL,
    engine text NOT NULL,
    teacher text NOT NULL,
    parameters bigint NOT NULL,
    selection_correct integer NOT NULL,
    selection_total integer NOT NULL,
    confirmation_correct integer NOT NULL,
    confirmation_total integer NOT NULL,
    losses text NOT NULL,
    train_seconds double precision NOT NULL,
    diverged_at integer NOT NULL,
    weights bytea NOT NULL,
    created text NOT NULL
);
INSERT INTO public.logits VALUES ('b6a81555c768c8efe82a9e8a62fb7fd90f0a50456b4bb69e4fb438b23d7d6b23 dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd train', '[2, 3]', '\x00000000abaaaa3eabaa2a3f0000803fabaaaa3f5555d53f', '2026-11-20T11:17:41Z');
INSERT INTO public.meta VALUES ('schema', 1);
INSERT INTO public.trials VALUES ('4f3bfb9adf0a889274cfe09f26a783bfb100e140cb5dfef9a0dba8e4a63b2367', 'dense 2 leaky_relu(0.1), dense 10', '{"loss": "kl", "temperature": 2.0, "label_weight": 0.0, "optimizer": "adam", "learning_rate": 0.02, "schedule": "one-cycle", "epochs": 3, "batch_size": 128}', 7, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'native-1-fused', 'b6a81555c768c8efe82a9e8a62fb7fd90f0a50456b4bb69e4fb438b23d7d6b23', 3, 93, 100, 45, 50, '[0.5, 0.25]', 1.5, 0, '\x000000002549123e2549923e', '2026-11-20T11:17:41Z');
INSERT INTO public.trials VALUES ('b6a81555c768c8efe82a9e8a62fb7fd90f0a50456b4bb69e4fb438b23d7d6b23', 'conv 4x3x3 relu, maxpool 2, dense 10', '{"loss": "labels", "temperature": 1.0, "label_weight": 0.0, "optimizer": "nesterov", "learning_rate": 0.1, "schedule": "one-cycle", "epochs": 4, "batch_size": 128}', 0, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'native-1-fused', '', 4, 94, 100, 45, 50, '[0.5, 0.25]', 1.5, 0, '\x000000002549123e2549923eb76ddb3e', '2026-11-20T11:17:41Z');
INSERT INTO public.trials VALUES ('ab7997e0df1fffdbfde425663d61fa0388df0f2853da1b2801a48d98060c44ec', 'maxpool 2, dense 10', '{"loss": "labels", "temperature": 1.0, "label_weight": 0.0, "optimizer": "adam", "learning_rate": 0.02, "schedule": "one-cycle", "epochs": 2, "batch_size": 128}', 1, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'native-1-fused', '', 5, 95, 100, 45, 50, '[0.5, 0.25]', 1.5, 0, '\x000000002549123e2549923eb76ddb3e2549123f', '2026-11-20T11:17:41Z');
INSERT INTO public.trials VALUES ('dacfaab7e472f2ea6e027d91682d274c4b7bd5a4d910e3c9fa8ecbd03adae1bf', 'maxpool 2, dense 10', '{"loss": "labels", "temperature": 1.0, "label_weight": 0.0, "optimizer": "adam", "learning_rate": 0.02, "schedule": "one-cycle", "epochs": 2, "batch_size": 128}', 2, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'native-1-fused', '', 6, 96, 100, 45, 50, '[2.5, NaN]', 1.5, 2, '\x000000002549123e2549923eb76ddb3e2549123f6edb363f', '2026-11-20T11:17:41Z');
ALTER TABLE ONLY public.logits
    ADD CONSTRAINT logits_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (key);
