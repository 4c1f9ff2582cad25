/** MIME type under which the list of nodes hands a type's name to the canvas. */
export const dragType = "application/x-tubelet-node";
