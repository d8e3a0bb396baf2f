// What a user of the official JavaScript client writes: submits a workflow, then waits for it or cancels it.

import { createCivitaiClient, getWorkflow, submitWorkflow, updateWorkflow } from "@civitai/client";

const FINAL = ["succeeded", "failed", "expired", "canceled"];
const client = createCivitaiClient({
  baseUrl: process.env.CIVITAI_ORCHESTRATION_URL,
  auth: process.env.CIVITAI_TOKEN,
});

function answered({ data, error }) {
  if (error) throw new Error(JSON.stringify(error));
  return data;
}

const workflow = answered(
  await submitWorkflow({
    client,
    body: {
      tags: ["javascript"],
      steps: [{ $type: "textToImage", input: {
        model: "urn:air:sdxl:checkpoint:civitai:101055@128078", prompt: "a cat", width: 512, height: 512, quantity: 2,
      } }],
    },
  }),
);
const path = { workflowId: workflow.id };
const statuses = [workflow.status];
if (process.argv[2] === "cancel") {
  answered(await updateWorkflow({ client, path, body: { status: "canceled" } }));
}
let last;
do {
  last = answered(await getWorkflow({ client, path, query: { wait: 5 } }));
  statuses.push(last.status);
} while (!FINAL.includes(last.status) && statuses.length < 100);

const images = [];
for (const image of last.steps[0].output?.images ?? []) {
  // Its URL is a credential of its own.
  const answer = await fetch(image.url);
  images.push({ type: answer.headers.get("content-type"), length: (await answer.arrayBuffer()).byteLength });
}
console.log(JSON.stringify({ id: workflow.id, statuses, images }));
