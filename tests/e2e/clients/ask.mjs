// node ask.mjs BASE_URL: what the `openai` package and Vercel's AI SDK make of the door, as one line of JSON.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

const baseURL = process.argv[2];
const messages = [{ role: 'user', content: 'Is water wet?' }];
const said = {};

const client = new OpenAI({ baseURL, apiKey: 'sk-mine', maxRetries: 0 });
said.models = (await client.models.list()).data.map((model) => model.id);
const { data: whole, response } = await client.chat.completions.create({ model: 'tiny-1', messages }).withResponse();
said.openai = { whole: whole.choices[0].message.content, trace: response.headers.get('x-trace-id') };
const stream = await client.chat.completions.create({ model: 'tiny-1', messages, stream: true });
said.openai.streamed = '';
for await (const chunk of stream) said.openai.streamed += chunk.choices[0]?.delta?.content ?? '';
try {
  await client.chat.completions.create({ model: 'tiny-1', messages: [] });
} catch (error) {
  said.openai.refused = { status: error.status, param: error.param, type: error.type };
}

const model = createOpenAI({ baseURL, apiKey: 'sk-mine' }).chat('tiny-1');
const prompt = 'Is water wet?';
const generated = await generateText({ model, prompt, maxRetries: 0 });
said.ai = { whole: generated.text, trace: generated.response.headers['x-trace-id'] };
const streaming = streamText({ model, prompt, maxRetries: 0 });
said.ai.streamed = '';
for await (const text of streaming.textStream) said.ai.streamed += text;
said.ai.finish = await streaming.finishReason;

const lookUp = tool({ inputSchema: z.object({ place: z.string() }), execute: async ({ place }) => `the ${place} is wet` });
const withTool = streamText({ model, prompt: 'use the tool', tools: { look_up: lookUp }, maxRetries: 0, stopWhen: stepCountIs(2) });
said.ai.results = [];
for await (const part of withTool.fullStream) if (part.type === 'tool-result') said.ai.results.push(part.output);
console.log(JSON.stringify(said));
