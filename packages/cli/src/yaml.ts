/** Only what is needed of it, by name: a bundle knows no names of a CommonJS module that is imported at run time. */
export { parseAllDocuments, stringify } from 'yaml';
